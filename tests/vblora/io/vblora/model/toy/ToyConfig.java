package io.vblora.model.toy;

import io.vblora.JsonFields;
import io.vblora.model.config.DecoderConfig;
import java.nio.file.Path;

/** The architecture of a {@link ToyDecoder}. */
record ToyConfig(int vocabSize, int hiddenSize, int numHiddenLayers, int maxPositionEmbeddings)
        implements DecoderConfig {
    static ToyConfig read(Path folder) {
        JsonFields config = JsonFields.read(folder.resolve("config.json"));
        return new ToyConfig((int) config.integer("vocab_size", 1, 1000), (int) config.integer("hidden_size", 1, 1000),
                (int) config.integer("num_hidden_layers", 1, 10),
                (int) config.integer("max_position_embeddings", 2, 1000));
    }
}

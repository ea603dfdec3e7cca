package io.vblora.model.config;

/** What all decoders' configurations have; names are Hugging Face's. */
public interface DecoderConfig {
    /** Tokens that the model knows. */
    int vocabSize();

    /** The most tokens of a sequence. */
    int maxPositionEmbeddings();
}

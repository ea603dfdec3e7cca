package io.vblora.model.config;

import io.vblora.JsonFields;
import java.nio.file.Path;

/**
 * The architecture of a Llama-type decoder, from config.json; names are Hugging Face's.
 *
 * @param padTokenId row of the table of tokens that never learns; -1 for none
 */
public record LlamaConfig(int hiddenSize, int intermediateSize, int numHiddenLayers, int numAttentionHeads,
        int numKeyValueHeads, int headDim, int vocabSize, int maxPositionEmbeddings, float rmsNormEps,
        RopeParameters rope, int padTokenId, boolean tieWordEmbeddings, boolean attentionBias, boolean mlpBias)
        implements DecoderConfig {

    private static final int MAX_SIZE = 1 << 24;

    /**
     * Reads config.json of a model folder.
     *
     * @throws io.vblora.InputException if it is not there, or not that of a Llama-type decoder
     */
    public static LlamaConfig read(Path folder) {
        JsonFields config = JsonFields.read(folder.resolve("config.json"));
        if (!config.string("model_type").equals("llama")) {
            throw config.wrong("model_type", "\"llama\"");
        }
        if (!config.string("hidden_act", "silu").equals("silu")) {
            throw config.wrong("hidden_act", "\"silu\"");
        }
        if (config.has("quantization_config")) {
            throw config.wrong("quantization_config", "weights in float32, float16 or bfloat16, not quantized");
        }
        int hidden = (int) config.integer("hidden_size", 1, MAX_SIZE);
        int heads = (int) config.integer("num_attention_heads", 1, 4096);
        int kvHeads = (int) config.integer("num_key_value_heads", 1, heads, heads);
        if (heads % kvHeads != 0) {
            throw config.wrong("num_key_value_heads", "a divisor of num_attention_heads, " + heads);
        }
        if (!config.has("head_dim") && hidden % heads != 0) {
            throw config.wrong("num_attention_heads", "a divisor of hidden_size, " + hidden);
        }
        int headDim = (int) config.integer("head_dim", 2, 4096, hidden / heads);
        if (headDim % 2 != 0) {
            throw config.wrong("head_dim", "an even number");
        }
        int vocab = (int) config.integer("vocab_size", 1, MAX_SIZE);
        return new LlamaConfig(
                hidden,
                (int) config.integer("intermediate_size", 1, MAX_SIZE),
                (int) config.integer("num_hidden_layers", 1, 10_000),
                heads,
                kvHeads,
                headDim,
                vocab,
                (int) config.integer("max_position_embeddings", 2, 1 << 30, 2048),
                (float) config.number("rms_norm_eps", 1e-30, 1, 1e-6),
                RopeParameters.read(config),
                BertConfig.padTokenId(config, vocab, -1),
                config.bool("tie_word_embeddings", false),
                config.bool("attention_bias", false),
                config.bool("mlp_bias", false));
    }
}

package io.vblora.model.config;

import io.vblora.JsonFields;
import java.nio.file.Path;

/** The architecture of a Llama-type decoder, from config.json; names are Hugging Face's. */
public record LlamaConfig(int hiddenSize, int numHiddenLayers, int maxPositionEmbeddings, float rmsNormEps,
        Vocabulary vocabulary, Attention attention, Mlp mlp) implements DecoderConfig {

    private static final int MAX_SIZE = 1 << 24;

    /**
     * The embeddings of tokens and the output head.
     *
     * @param padTokenId row of the table of tokens that never learns; -1 for none
     * @param tieWordEmbeddings whether the head's weight is the table's
     */
    public record Vocabulary(int vocabSize, int padTokenId, boolean tieWordEmbeddings) {
        private static Vocabulary read(JsonFields config) {
            int vocab = (int) config.integer("vocab_size", 1, MAX_SIZE);
            return new Vocabulary(vocab, BertConfig.padTokenId(config, vocab, -1),
                    config.bool("tie_word_embeddings", false));
        }
    }

    /**
     * The attention of a layer.
     *
     * @param headDim features of a head
     * @param attentionBias whether its linear layers have biases
     */
    public record Attention(int numAttentionHeads, int numKeyValueHeads, int headDim, boolean attentionBias,
            RopeParameters rope) {
        private static Attention read(JsonFields config, int hidden) {
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
            return new Attention(heads, kvHeads, headDim, config.bool("attention_bias", false),
                    RopeParameters.read(config));
        }
    }

    /**
     * The MLP of a layer.
     *
     * @param mlpBias whether its linear layers have biases
     */
    public record Mlp(int intermediateSize, boolean mlpBias) {
        private static Mlp read(JsonFields config) {
            return new Mlp((int) config.integer("intermediate_size", 1, MAX_SIZE), config.bool("mlp_bias", false));
        }
    }

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
        return new LlamaConfig(hidden,
                (int) config.integer("num_hidden_layers", 1, 10_000),
                (int) config.integer("max_position_embeddings", 2, 1 << 30, 2048),
                (float) config.number("rms_norm_eps", 1e-30, 1, 1e-6),
                Vocabulary.read(config), Attention.read(config, hidden), Mlp.read(config));
    }

    @Override
    public int vocabSize() {
        return vocabulary.vocabSize;
    }
}

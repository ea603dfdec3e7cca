package io.vblora.model.config;

import io.vblora.JsonFields;
import io.vblora.kernels.ops.Activation;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * The architecture of a BERT-type encoder; names are Hugging Face's.
 *
 * @param modelType "bert", "roberta" or "xlm-roberta"
 * @param initializerRange standard deviation of new weights that are not the encoder's: of a head
 */
public record BertConfig(String modelType, int hiddenSize, int numHiddenLayers, float layerNormEps,
        Embeddings embeddings, Layer layer, double initializerRange) {

    /**
     * The tables of words, positions and token types.
     *
     * @param padTokenId row of the table of words that never learns
     * @param maxPositionEmbeddings rows of the table of positions
     * @param positionOffset row of the table of positions that a sequence's first token has: 0 for BERT, pad_token_id
     * + 1 for RoBERTa
     * @param typeVocabSize token types
     */
    public record Embeddings(int vocabSize, int padTokenId, int maxPositionEmbeddings, int positionOffset,
            int typeVocabSize) {
        private static Embeddings read(JsonFields config, boolean bert) {
            int positions = (int) config.integer("max_position_embeddings", 1, MAX_SIZE, 512);
            int vocab = (int) config.integer("vocab_size", 1, MAX_SIZE);
            int offset = bert ? 0
                    : (int) config.integer("pad_token_id", 0, Math.min(vocab, positions - 1) - 1, 1) + 1;
            return new Embeddings(vocab, bert ? BertConfig.padTokenId(config, vocab, 0) : offset - 1, positions, offset,
                    (int) config.integer("type_vocab_size", 1, MAX_SIZE, bert ? 2 : 1));
        }
    }

    /** What each of the layers is. */
    public record Layer(int numAttentionHeads, int intermediateSize, Activation hiddenAct) {
        private static Layer read(JsonFields config, int hidden) {
            int heads = (int) config.integer("num_attention_heads", 1, 4096);
            if (hidden % heads != 0) {
                throw config.wrong("num_attention_heads", "a divisor of hidden_size, " + hidden);
            }
            return new Layer(heads, (int) config.integer("intermediate_size", 1, MAX_SIZE),
                    ACTIVATIONS.get(config.string("hidden_act", "gelu")));
        }
    }

    /** {@link #initializerRange} where nothing else is said: Hugging Face's. */
    public static final double USUAL_INITIALIZER_RANGE = 0.02;

    /** The most rows of a table, and the most features. */
    public static final int MAX_SIZE = 1 << 24;

    /** What {@link #modelType} may be. */
    public static final List<String> MODEL_TYPES = List.of("bert", "roberta", "xlm-roberta");
    private static final Map<String, Activation> ACTIVATIONS = Map.of("gelu", Activation.GELU, "gelu_python",
            Activation.GELU, "gelu_new", Activation.GELU_TANH, "gelu_pytorch_tanh", Activation.GELU_TANH, "gelu_fast",
            Activation.GELU_TANH, "relu", Activation.RELU, "tanh", Activation.TANH);

    /**
     * Reads config.json of a model folder.
     *
     * @throws io.vblora.InputException if it is not there, or not that of a BERT-type encoder
     */
    public static BertConfig read(Path folder) {
        JsonFields config = JsonFields.read(folder.resolve("config.json"));
        String type = config.string("model_type");
        if (!MODEL_TYPES.contains(type)) {
            throw config.wrong("model_type", "one of " + String.join(", ", MODEL_TYPES));
        }
        if (!ACTIVATIONS.containsKey(config.string("hidden_act", "gelu"))) {
            throw config.wrong("hidden_act", "gelu, gelu_new, gelu_pytorch_tanh, relu or tanh");
        }
        if (!config.string("position_embedding_type", "absolute").equals("absolute")) {
            throw config.wrong("position_embedding_type", "\"absolute\"");
        }
        for (String decoder : List.of("is_decoder", "add_cross_attention")) {
            if (config.bool(decoder, false)) {
                throw config.wrong(decoder, "false: an encoder");
            }
        }
        if (config.has("quantization_config")) {
            throw config.wrong("quantization_config", "weights in float32, float16 or bfloat16, not quantized");
        }
        int hidden = (int) config.integer("hidden_size", 1, MAX_SIZE);
        return new BertConfig(type, hidden, (int) config.integer("num_hidden_layers", 1, 10_000),
                (float) config.number("layer_norm_eps", 1e-30, 1, 1e-12),
                Embeddings.read(config, type.equals("bert")), Layer.read(config, hidden),
                config.number("initializer_range", 0, 10, USUAL_INITIALIZER_RANGE));
    }

    /**
     * pad_token_id as a row of the table of words: negative numbers count from its end; -1 for null, and for what is no
     * row.
     *
     * @param usual where the key is missing
     */
    static int padTokenId(JsonFields config, int vocab, int usual) {
        if (!config.has("pad_token_id")) {
            return config.object().has("pad_token_id") ? -1 : usual;
        }
        int id = (int) config.integer("pad_token_id", Integer.MIN_VALUE, Integer.MAX_VALUE);
        int row = id < 0 ? vocab + id : id;
        return row >= 0 && row < vocab ? row : -1;
    }

    /** Features of an attention head. */
    public int headDim() {
        return hiddenSize / layer.numAttentionHeads;
    }

    /** The most tokens of a sequence that there are positions for. */
    public int maxLength() {
        return embeddings.maxPositionEmbeddings - embeddings.positionOffset;
    }

    /** Whether the model is of RoBERTa's family, which has another prefix of names and another classifier. */
    public boolean isRoberta() {
        return !modelType.equals("bert");
    }
}

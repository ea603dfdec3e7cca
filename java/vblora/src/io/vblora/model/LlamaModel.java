package io.vblora.model;

import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.model.config.LlamaConfig;
import io.vblora.weights.WeightSource;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A Llama-type decoder from a Hugging Face folder whose config.json has model_type llama: RMSNorm,
 * rotary positions (default, linear or llama3 scaling), grouped-query attention, SiLU-gated MLP, with or without
 * biases, tied or untied output head, weights in float32, bfloat16 or float16. Modules are named as there, for example
 * {@code model.layers.0.self_attn.q_proj}.
 */
public final class LlamaModel extends Decoder {
    private final LlamaConfig config;
    private final RotaryEmbedding rotary;

    private LlamaModel(LlamaConfig config, RotaryEmbedding rotary, List<Tensor> weights, Embedding embedding,
            List<LlamaLayer> layers, RmsNorm norm, Linear head) {
        super(weights, new InputEmbeddings(embedding, null), layers, norm, head);
        this.config = config;
        this.rotary = rotary;
    }

    /**
     * Loads a model.
     *
     * @param folder with config.json and model.safetensors, or model.safetensors.index.json and its shards
     * @param dtype in which the weights of embeddings and linear layers are held, or null to hold them as they are
     * stored
     * @throws InputException if the folder does not hold a Llama-type model
     */
    public static LlamaModel load(Path folder, DType dtype, Stream stream) {
        LlamaConfig config = LlamaConfig.read(folder);
        try (WeightSource source = WeightSource.open(folder)) {
            WeightReader.checkLayers(source, folder, "model.layers.", config.numHiddenLayers());
            return WeightReader.load(source, dtype, stream, reader -> read(config, reader));
        }
    }

    private static LlamaModel read(LlamaConfig config, WeightReader reader) {
        int hidden = config.hiddenSize();
        RotaryEmbedding rotary = new RotaryEmbedding(config.attention().rope(), config.attention().headDim(),
                config.maxPositionEmbeddings());
        Embedding embedding = reader.embedding("model.embed_tokens", config.vocabSize(), hidden,
                config.vocabulary().padTokenId());
        List<LlamaLayer> layers = new ArrayList<>();
        for (int i = 0; i < config.numHiddenLayers(); i++) {
            layers.add(layer(config, rotary, reader, "model.layers." + i + "."));
        }
        RmsNorm norm = reader.rmsNorm("model.norm", hidden, config.rmsNormEps());
        Linear head = config.vocabulary().tieWordEmbeddings()
                ? new Linear("lm_head", new Parameter("lm_head.weight", embedding.weight().base()), null)
                : reader.linear("lm_head", config.vocabSize(), hidden, false);
        return new LlamaModel(config, rotary, reader.tensors(), embedding, layers, norm, head);
    }

    private static LlamaLayer layer(LlamaConfig config, RotaryEmbedding rotary, WeightReader reader, String prefix) {
        long hidden = config.hiddenSize();
        LlamaConfig.Attention attention = config.attention();
        long queries = (long) attention.numAttentionHeads() * attention.headDim();
        long keys = (long) attention.numKeyValueHeads() * attention.headDim();
        long inner = config.mlp().intermediateSize();
        String ofAttention = prefix + "self_attn.";
        String ofMlp = prefix + "mlp.";
        boolean attentionBias = attention.attentionBias();
        boolean mlpBias = config.mlp().mlpBias();
        return new LlamaLayer(config, rotary, reader.rmsNorm(prefix + "input_layernorm", hidden, config.rmsNormEps()),
                reader.rmsNorm(prefix + "post_attention_layernorm", hidden, config.rmsNormEps()),
                reader.linears(List.of(ofAttention + "q_proj", ofAttention + "k_proj", ofAttention + "v_proj"),
                        new long[] {queries, keys, keys}, hidden, attentionBias),
                new LinearGroup(reader.linear(ofAttention + "o_proj", hidden, queries, attentionBias)),
                reader.linears(List.of(ofMlp + "up_proj", ofMlp + "gate_proj"), new long[] {inner, inner}, hidden,
                        mlpBias),
                new LinearGroup(reader.linear(ofMlp + "down_proj", hidden, inner, mlpBias)));
    }

    @Override
    public LlamaConfig config() {
        return config;
    }

    @Override
    protected void reserve(Stream stream, int length) {
        rotary.reserve(stream, length);
    }

    @Override
    protected void free() {
        rotary.close();
    }
}

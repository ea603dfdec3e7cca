package io.vblora.model;

import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Activation;
import io.vblora.model.config.BertConfig;
import io.vblora.weights.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

/**
 * A small random encoder with odd sizes: a Hugging Face folder, and its weights for the reference.
 *
 * @param multiple divides all dimensions of its linear layers
 * @param weights float32, by Hugging Face's names without a prefix
 */
public record TinyBert(Path folder, BertConfig config, int multiple, Map<String, float[]> weights) {
    private static final Map<Activation, String> ACTIVATIONS = Map.of(Activation.GELU, "gelu", Activation.GELU_TANH,
            "gelu_new", Activation.RELU, "relu", Activation.TANH, "tanh");

    /** A random one, with a pooler. */
    static TinyBert write(Path folder, Random random, int multiple) throws IOException {
        Activation[] activations = Activation.values();
        return write(folder, random, multiple, activations[random.nextInt(activations.length)]);
    }

    public static TinyBert write(Path folder, Random random, int multiple, Activation activation) throws IOException {
        boolean roberta = random.nextInt(3) == 0;
        int heads = 1 + random.nextInt(4);
        // Normalised rows of two or three numbers hardly depend on anything: their gradients are roundings.
        int hidden = heads * multiple * (8 / (heads * multiple) + 1 + random.nextInt(8 / multiple + 1));
        int intermediate = multiple * (1 + random.nextInt(40 / multiple));
        int vocab = 8 + random.nextInt(40);
        int layers = 1 + random.nextInt(3);
        int types = roberta ? 1 : 2;
        Files.createDirectories(folder);
        Files.writeString(folder.resolve("config.json"), """
                {"model_type": "%s", "hidden_size": %d, "intermediate_size": %d, "num_hidden_layers": %d,
                 "num_attention_heads": %d, "vocab_size": %d, "max_position_embeddings": 32, "type_vocab_size": %d,
                 "pad_token_id": 1, "layer_norm_eps": 1e-3, "hidden_act": "%s"}
                """.formatted(roberta ? "roberta" : "bert", hidden, intermediate, layers, heads, vocab, types,
                ACTIVATIONS.get(activation)));

        Map<String, long[]> shapes = new LinkedHashMap<>();
        shapes.put("embeddings.word_embeddings.weight", new long[] {vocab, hidden});
        shapes.put("embeddings.position_embeddings.weight", new long[] {32, hidden});
        shapes.put("embeddings.token_type_embeddings.weight", new long[] {types, hidden});
        vectors(shapes, "embeddings.LayerNorm", hidden);
        for (int layer = 0; layer < layers; layer++) {
            String path = "encoder.layer." + layer + ".";
            linear(shapes, path + "attention.self.query", hidden, hidden);
            linear(shapes, path + "attention.self.key", hidden, hidden);
            linear(shapes, path + "attention.self.value", hidden, hidden);
            linear(shapes, path + "attention.output.dense", hidden, hidden);
            vectors(shapes, path + "attention.output.LayerNorm", hidden);
            linear(shapes, path + "intermediate.dense", intermediate, hidden);
            linear(shapes, path + "output.dense", hidden, intermediate);
            vectors(shapes, path + "output.LayerNorm", hidden);
        }
        linear(shapes, "pooler.dense", hidden, hidden);

        String prefix = random.nextBoolean() ? "" : roberta ? "roberta." : "bert.";
        boolean oldNames = random.nextInt(3) == 0;
        Map<String, float[]> weights = new LinkedHashMap<>();
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        shapes.forEach((name, shape) -> {
            boolean matrix = shape.length == 2;
            float[] values = new float[(int) (matrix ? shape[0] * shape[1] : shape[0])];
            double center = name.endsWith("Norm.weight") ? 1 : 0;
            double spread = matrix && !name.startsWith("embeddings") ? 1 / Math.sqrt(shape[1]) : 0.3;
            for (int i = 0; i < values.length; i++) {
                values[i] = (float) (center + spread * random.nextGaussian());
            }
            weights.put(name, values);
            String stored = oldNames ? name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta")
                    : name;
            tensors.put(prefix + stored, Tensor.of(values, shape));
        });
        new SafetensorsWriter().addAll(tensors).write(folder.resolve("model.safetensors"));
        tensors.values().forEach(Tensor::close);
        return new TinyBert(folder, BertConfig.read(folder), multiple, weights);
    }

    private static void linear(Map<String, long[]> shapes, String path, long out, long in) {
        shapes.put(path + ".weight", new long[] {out, in});
        shapes.put(path + ".bias", new long[] {out});
    }

    private static void vectors(Map<String, long[]> shapes, String path, long n) {
        shapes.put(path + ".weight", new long[] {n});
        shapes.put(path + ".bias", new long[] {n});
    }

    ReferenceBert reference() {
        return new ReferenceBert(config, weights);
    }

    /** Sequences of random lengths with random tokens. */
    TokenBatch rows(Random random, int size) {
        int length = 1 + random.nextInt(9);
        int[] lengths = random.ints(size, 1, length + 1).toArray();
        lengths[random.nextInt(size)] = length;
        int tokens = size * length;
        boolean noTypes = config.embeddings().typeVocabSize() == 1 || random.nextBoolean();
        return PaddedRows.batch(length, random.ints(tokens, 0, config.embeddings().vocabSize()).toArray(),
                noTypes ? null : random.ints(tokens, 0, config.embeddings().typeVocabSize()).toArray(), lengths);
    }
}

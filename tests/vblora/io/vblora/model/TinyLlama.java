package io.vblora.model;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.model.config.LlamaConfig;
import io.vblora.weights.SafetensorsFile;
import io.vblora.weights.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

/**
 * A small random Llama with odd sizes: a Hugging Face folder, and its weights for the reference.
 *
 * @param multiple divides all dimensions of its linear layers
 * @param weights float32, by Hugging Face's names
 */
record TinyLlama(Path folder, LlamaConfig config, double ropeTheta, int multiple, Map<String, float[]> weights) {

    static TinyLlama write(Path folder, Random random, int multiple) throws IOException {
        int kvHeads = 1 + random.nextInt(3);
        int heads = kvHeads * (1 + random.nextInt(3));
        int headDim = (multiple % 2 == 0 ? multiple : 2 * multiple) * (1 + random.nextInt(multiple > 3 ? 1 : 3));
        int hidden = multiple * (8 / multiple + 1 + random.nextInt(16 / multiple));
        int intermediate = multiple * (1 + random.nextInt(40 / multiple));
        int vocab = multiple * (2 + random.nextInt(40 / multiple));
        int layers = 1 + random.nextInt(3);
        boolean attentionBias = random.nextBoolean();
        boolean mlpBias = random.nextBoolean();
        boolean tied = random.nextBoolean();
        double ropeTheta = 10 + random.nextInt(1000);
        Files.createDirectories(folder);
        Files.writeString(folder.resolve("config.json"), """
                {"model_type": "llama", "hidden_size": %d, "intermediate_size": %d, "num_hidden_layers": %d,
                 "num_attention_heads": %d, "num_key_value_heads": %d, "head_dim": %d, "vocab_size": %d,
                 "max_position_embeddings": 64, "rms_norm_eps": 1e-3, "rope_theta": %s, "tie_word_embeddings": %b,
                 "attention_bias": %b, "mlp_bias": %b}
                """.formatted(hidden, intermediate, layers, heads, kvHeads, headDim, vocab, ropeTheta, tied,
                attentionBias, mlpBias));

        Map<String, long[]> shapes = new LinkedHashMap<>();
        shapes.put("model.embed_tokens.weight", new long[] {vocab, hidden});
        for (int layer = 0; layer < layers; layer++) {
            String path = "model.layers." + layer + ".";
            shapes.put(path + "input_layernorm.weight", new long[] {hidden});
            shapes.put(path + "post_attention_layernorm.weight", new long[] {hidden});
            linear(shapes, path + "self_attn.q_proj", heads * headDim, hidden, attentionBias);
            linear(shapes, path + "self_attn.k_proj", kvHeads * headDim, hidden, attentionBias);
            linear(shapes, path + "self_attn.v_proj", kvHeads * headDim, hidden, attentionBias);
            linear(shapes, path + "self_attn.o_proj", hidden, heads * headDim, attentionBias);
            linear(shapes, path + "mlp.gate_proj", intermediate, hidden, mlpBias);
            linear(shapes, path + "mlp.up_proj", intermediate, hidden, mlpBias);
            linear(shapes, path + "mlp.down_proj", hidden, intermediate, mlpBias);
        }
        shapes.put("model.norm.weight", new long[] {hidden});
        if (!tied) {
            linear(shapes, "lm_head", vocab, hidden, false);
        }

        Map<String, float[]> weights = new LinkedHashMap<>();
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        shapes.forEach((name, shape) -> {
            boolean matrix = shape.length == 2;
            float[] values = new float[(int) (matrix ? shape[0] * shape[1] : shape[0])];
            double center = name.endsWith("norm.weight") ? 1 : 0;
            double spread = matrix ? 1 / Math.sqrt(shape[1]) : 0.3;
            for (int i = 0; i < values.length; i++) {
                values[i] = (float) (center + spread * random.nextGaussian());
            }
            weights.put(name, values);
            tensors.put(name, Tensor.of(values, shape));
        });
        new SafetensorsWriter().addAll(tensors).write(folder.resolve("model.safetensors"));
        tensors.values().forEach(Tensor::close);
        return new TinyLlama(folder, LlamaConfig.read(folder), ropeTheta, multiple, weights);
    }

    private static void linear(Map<String, long[]> shapes, String path, long out, long in, boolean bias) {
        shapes.put(path + ".weight", new long[] {out, in});
        if (bias) {
            shapes.put(path + ".bias", new long[] {out});
        }
    }

    ReferenceLlama reference() {
        return new ReferenceLlama(config, ropeTheta, weights);
    }

    /** The reference of this model when its matrices are held in another type: rounded to it, vectors as they are. */
    ReferenceLlama reference(DType dtype, Stream stream) {
        Map<String, float[]> rounded = new LinkedHashMap<>(weights);
        rounded.replaceAll((name, values) -> name.contains("norm") || name.endsWith(".bias") ? values
                : round(values, dtype, stream));
        return new ReferenceLlama(config, ropeTheta, rounded);
    }

    /** This model with all weights stored, and thereby rounded, in another type. */
    TinyLlama in(DType dtype, Path newFolder, Stream stream) throws IOException {
        Files.createDirectories(newFolder);
        Files.copy(folder.resolve("config.json"), newFolder.resolve("config.json"),
                StandardCopyOption.REPLACE_EXISTING);
        SafetensorsWriter writer = new SafetensorsWriter();
        Map<String, float[]> rounded = new LinkedHashMap<>(weights);
        try (SafetensorsFile file = SafetensorsFile.open(folder.resolve("model.safetensors"))) {
            for (String name : file.names()) {
                rounded.put(name, round(weights.get(name), dtype, stream));
                writer.add(name, dtype, file.entry(name).dimensions(), () -> {
                    try (Tensor wide = file.read(name)) {
                        Tensor narrow = Tensor.allocate(Device.CPU, dtype, wide.shape());
                        Memory.convert(stream, wide, narrow);
                        return narrow;
                    }
                });
            }
            writer.write(newFolder.resolve("model.safetensors"));
        }
        return new TinyLlama(newFolder, config, ropeTheta, multiple, rounded);
    }

    private static float[] round(float[] values, DType dtype, Stream stream) {
        try (Tensor wide = Tensor.of(values, values.length);
                Tensor narrow = Tensor.allocate(Device.CPU, dtype, values.length)) {
            Memory.convert(stream, wide, narrow);
            Memory.convert(stream, narrow, wide);
            return wide.toFloats();
        }
    }
}

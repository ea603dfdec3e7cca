package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.RealEncoder;
import io.vblora.blas.Blas;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Activation;
import io.vblora.kernels.ops.Memory;
import io.vblora.model.config.Pooling;
import io.vblora.model.onnx.OnnxBert;
import io.vblora.weights.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What encoders give, against the float64 reference, and what they refuse. */
class BertModelTest {
    /** Relative to the largest number; states are of the order of 1. */
    private static final double TOLERANCE = 1e-6;

    @TempDir
    Path folder;

    private final Stream stream = Stream.cpu(2);
    private final Execution execution = new Execution(stream, Blas.on(stream.device()));

    @AfterEach
    void close() {
        execution.close();
        stream.close();
    }

    /** A random encoder of one family or the other. */
    private TinyBert write(boolean roberta, Random random) throws IOException {
        TinyBert tiny;
        do {
            tiny = TinyBert.write(folder, random, 1);
        } while (tiny.config().isRoberta() != roberta);
        return tiny;
    }

    private static void assertClose(String what, double expected, float found) {
        assertEquals(expected, found, TOLERANCE * Math.max(1, Math.abs(expected)), what);
    }

    @Test
    void statesAndEmbeddingsAreThoseOfTheReference() throws IOException {
        for (int seed = 1; seed <= 10; seed++) {
            Random random = new Random(seed);
            TinyBert tiny = write(seed % 2 == 0, random);
            TokenBatch rows = tiny.rows(random, 1 + random.nextInt(4));
            try (BertModel model = BertModel.load(folder, null, stream)) {
                assertEquals(tiny.weights().values().stream().mapToLong(w -> w.length).sum(), model.parameterCount());
                check("seed " + seed, rows, model, tiny.reference());
            }
        }
    }

    private void check(String what, TokenBatch rows, BertModel model, ReferenceBert reference) {
        int hidden = model.config().hiddenSize();
        float[] states = model.lastHiddenState(execution, rows);
        assertEquals(rows.tokens() * hidden, states.length);
        for (int row = 0; row < rows.size(); row++) {
            double[][] expected = reference.hidden(rows, row, Map.of());
            for (int t = 0; t < expected.length; t++) {
                for (int i = 0; i < hidden; i++) {
                    assertClose(what, expected[t][i], states[(rows.starts()[row] + t) * hidden + i]);
                }
            }
            for (Pooling pooling : Pooling.values()) {
                double[] pooled = reference.pooled(rows, row, pooling, Map.of());
                float[] found = model.embeddings(execution, rows, pooling, false);
                float[] normalized = model.embeddings(execution, rows, pooling, true);
                double length = 0;
                for (int i = 0; i < hidden; i++) {
                    length = Math.hypot(length, pooled[i]);
                }
                for (int i = 0; i < hidden; i++) {
                    assertClose(what, pooled[i], found[row * hidden + i]);
                    assertClose(what, pooled[i] / length, normalized[row * hidden + i]);
                }
            }
        }
    }

    /** An ONNX file and a Hugging Face folder with its weights are the same model, bit for bit. */
    @Test
    void whereWeightsLieChangesNothing() throws IOException {
        Path onnxFile = RealEncoder.MINILM.folder().resolve("model.onnx");
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        try (OnnxBert onnx = OnnxBert.open(onnxFile)) {
            onnx.weights().names().forEach(name -> tensors.put("bert." + name, onnx.weights().read(name)));
            new SafetensorsWriter().addAll(tensors).write(folder.resolve("model.safetensors"));
        } finally {
            tensors.values().forEach(Tensor::close);
        }
        // As config.json of sentence-transformers/all-MiniLM-L6-v2 says.
        Files.writeString(folder.resolve("config.json"), """
                {"model_type": "bert", "hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6,
                 "num_attention_heads": 12, "vocab_size": 30522, "max_position_embeddings": 512, "type_vocab_size": 2,
                 "layer_norm_eps": 1e-12, "hidden_act": "gelu", "pad_token_id": 0}
                """);
        assertEquals(BertModel.config(folder), BertModel.config(onnxFile));
        TokenBatch rows = TokenBatch.of(ids(101, 7592, 102), ids(101, 2088, 999, 102));
        try (BertModel onnx = BertModel.load(onnxFile, null, stream);
                BertModel huggingFace = BertModel.load(folder, null, stream)) {
            assertArrayEquals(onnx.lastHiddenState(execution, rows), huggingFace.lastHiddenState(execution, rows));
        }
    }

    @Test
    void weightsMayBeHeldInSixteenBits() throws IOException {
        Random random = new Random(3);
        TinyBert tiny = write(false, random);
        TokenBatch rows = tiny.rows(random, 3);
        for (DType dtype : new DType[] {DType.BFLOAT16, DType.FLOAT16}) {
            Map<String, float[]> rounded = new LinkedHashMap<>(tiny.weights());
            rounded.replaceAll((name, values) -> name.contains("Norm") || name.endsWith("bias") ? values
                    : round(values, dtype));
            try (BertModel model = BertModel.load(folder, dtype, stream)) {
                check(dtype.toString(), rows, model, new ReferenceBert(tiny.config(), rounded));
            }
        }
    }

    private float[] round(float[] values, DType dtype) {
        try (Tensor wide = Tensor.of(values, values.length);
                Tensor narrow = Tensor.allocate(Device.CPU, dtype, values.length)) {
            Memory.convert(stream, wide, narrow);
            Memory.convert(stream, narrow, wide);
            return wide.toFloats();
        }
    }

    @Test
    void refusesBatchesThatDoNotFit() throws IOException {
        int[] ids = {1, 2, 3, 4};
        for (int[] starts : new int[][] {{}, {0}, {1, 4}, {0, 3}, {0, 5}, {0, 3, 2, 4}, {0, -1, 4}}) {
            assertThrows(IllegalArgumentException.class, () -> new TokenBatch(starts, ids, null));
        }
        assertThrows(IllegalArgumentException.class, () -> new TokenBatch(ids(0, 4), ids, new int[3]));
        assertThrows(IllegalArgumentException.class, () -> TokenBatch.of());
        assertThrows(IllegalArgumentException.class, () -> TokenBatch.of(ids(), ids()));
        assertThrows(IllegalArgumentException.class, () -> TokenBatch.of(List.of(ids(1), ids(2, 3)),
                List.of(ids(0, 0), ids(0))));
        TinyBert tiny = write(true, new Random(5));
        try (BertModel model = BertModel.load(tiny.folder(), null, stream)) {
            // 32 positions, of which a token's first is pad_token_id + 1 = 2.
            assertEquals(30, model.config().maxLength());
            model.lastHiddenState(execution, TokenBatch.of(new int[30]));
            assertRefused("31 tokens", () -> model.lastHiddenState(execution, TokenBatch.of(new int[2], new int[31])));
            int[] unknown = {tiny.config().embeddings().vocabSize(), 2};
            assertRefused("input_ids: found " + unknown[0] + "; expected 0 to " + (unknown[0] - 1),
                    () -> model.lastHiddenState(execution, TokenBatch.of(unknown)));
            assertRefused("token_type_ids: found 1; expected 0 to 0",
                    () -> model.lastHiddenState(execution, new TokenBatch(ids(0, 2), ids(1, 2), ids(0, 1))));
            assertRefused("token_type_ids: found -1",
                    () -> model.embeddings(execution, new TokenBatch(ids(0, 2), ids(1, 2), ids(0, -1)),
                            Pooling.CLS, true));
        }
    }

    private static int[] ids(int... ids) {
        return ids;
    }

    @Test
    void poolingIsWhatTheFolderSays() throws IOException {
        TinyBert tiny = TinyBert.write(folder, new Random(6), 1);
        Path file = folder.resolve("1_Pooling").resolve("config.json");
        Files.createDirectories(file.getParent());
        try (BertModel model = BertModel.load(tiny.folder(), null, stream)) {
            assertEquals(Optional.empty(), model.statedPooling());
            // As Hugging Face's classes for sequence classification, whatever pooler the weights hold
            assertEquals(tiny.config().isRoberta() ? Pooling.CLS : Pooling.POOLER, model.defaultPooling());
            Files.writeString(file, "{\"pooling_mode_cls_token\": true, \"pooling_mode_mean_tokens\": false}");
            assertEquals(Pooling.CLS, model.defaultPooling());
            Files.writeString(file, "{\"pooling_mode_cls_token\": false, \"pooling_mode_mean_tokens\": true}");
            assertEquals(Pooling.MEAN, model.defaultPooling());
            assertEquals(Optional.of(Pooling.MEAN), model.statedPooling());
            Files.writeString(file, "{\"pooling_mode_max_tokens\": true}");
            assertRefused("pooling_mode_mean_tokens", model::defaultPooling);
            // sentence-transformers joins the vectors of several ways
            Files.writeString(file, "{\"pooling_mode_cls_token\": true, \"pooling_mode_mean_tokens\": true}");
            assertRefused("pooling_mode_mean_tokens", model::defaultPooling);
            Files.writeString(file, "{\"pooling_mode_mean_tokens\": true, \"pooling_mode_max_tokens\": true}");
            assertRefused("pooling_mode_max_tokens", model::defaultPooling);
        }
    }

    @Test
    void refusesConfigurationsOfOtherModels() throws IOException {
        TinyBert tiny = TinyBert.write(folder, new Random(7), 1, Activation.GELU);
        Path file = folder.resolve("config.json");
        String good = Files.readString(file);
        String[][] changes = {
            {"\"model_type\": \"" + tiny.config().modelType(), "\"model_type\": \"distilbert", "model_type"},
            {"\"gelu\"", "\"silu\"", "hidden_act"},
            {"\"hidden_size\"", "\"position_embedding_type\": \"relative_key\", \"hidden_size\"",
                "position_embedding_type"},
            {"\"hidden_size\"", "\"initializer_range\": -1, \"hidden_size\"", "initializer_range"},
            {"\"hidden_size\"", "\"is_decoder\": true, \"hidden_size\"", "is_decoder"},
            {"\"hidden_size\"", "\"quantization_config\": {}, \"hidden_size\"", "quantization_config"},
            {"\"num_attention_heads\": ", "\"num_attention_heads\": 4093, \"was\": ", "num_attention_heads"},
            {"\"num_hidden_layers\": " + tiny.config().numHiddenLayers(), "\"num_hidden_layers\": 0",
                "num_hidden_layers"},
            {"\"vocab_size\": ", "\"vocab_size\": 1", "embeddings.word_embeddings.weight"},
            {"\"num_hidden_layers\": ", "\"num_hidden_layers\": 4, \"was\": ", "encoder.layer."}};
        for (String[] change : changes) {
            String wrong = good.replace(change[0], change[1]);
            assertTrue(!wrong.equals(good), change[0]);
            Files.writeString(file, wrong);
            assertRefused(change[2], () -> BertModel.load(folder, null, stream));
        }
        Files.writeString(file, good);
        assertEquals(tiny.config(), BertModel.config(folder));
        assertEquals(0.02, tiny.config().initializerRange());
        Files.delete(folder.resolve("model.safetensors"));
        assertRefused("model.safetensors", () -> BertModel.load(folder, null, stream));
        Files.delete(file);
        assertRefused("neither config.json nor model.onnx", () -> BertModel.load(folder, null, stream));
        assertRefused("nowhere", () -> BertModel.load(folder.resolve("nowhere"), null, stream));
    }

    @Test
    void refusesLayersThatTheConfigurationLeavesOut() throws IOException {
        TinyBert tiny;
        Random random = new Random(8);
        do {
            tiny = TinyBert.write(folder, random, 1);
        } while (tiny.config().numHiddenLayers() < 2);
        Path file = folder.resolve("config.json");
        Files.writeString(file, Files.readString(file).replace("\"num_hidden_layers\": ",
                "\"num_hidden_layers\": 1, \"was\": "));
        assertRefused("num_hidden_layers", () -> BertModel.load(folder, null, stream));
    }

    private static void assertRefused(String part, org.junit.jupiter.api.function.Executable call) {
        String message = assertThrows(InputException.class, call).getMessage();
        assertTrue(message.contains(part), message);
    }
}

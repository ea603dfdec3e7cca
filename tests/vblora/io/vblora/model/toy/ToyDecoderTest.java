package io.vblora.model.toy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.blas.Blas;
import io.vblora.cli.Main;
import io.vblora.data.CausalLmExample;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.model.CausalLm;
import io.vblora.model.CausalLmArchitecture;
import io.vblora.model.Execution;
import io.vblora.model.TokenBatch;
import io.vblora.model.config.DecoderConfig;
import io.vblora.train.CausalLmObjective;
import io.vblora.train.Trainer;
import io.vblora.train.TrainingArguments;
import io.vblora.train.TrainingResult;
import io.vblora.weights.SafetensorsWriter;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A decoder that is nowhere named outside this folder is loaded, trained and scored as the library's own are. */
class ToyDecoderTest {
    private static final int VOCABULARY = 12;
    private static final int HIDDEN = 8;
    private static final int LAYERS = 2;

    @TempDir
    private Path folder;

    private final Map<String, float[]> weights = new LinkedHashMap<>();
    private final ClassLoader before = Thread.currentThread().getContextClassLoader();
    private URLClassLoader registered;
    private Path services;
    private Path model;

    /** The line that registers it is the one of the services' file. */
    @BeforeEach
    void register() throws IOException {
        services = folder.resolve("services");
        Path file = services.resolve("META-INF/services").resolve(CausalLmArchitecture.class.getName());
        Files.createDirectories(file.getParent());
        Files.writeString(file, ToyArchitecture.class.getName() + "\n");
        registered = new URLClassLoader(new URL[] {services.toUri().toURL()}, before);
        Thread.currentThread().setContextClassLoader(registered);
        model = Files.createDirectory(folder.resolve("model"));
        write(new Random(5));
    }

    @AfterEach
    void unregister() throws IOException {
        Thread.currentThread().setContextClassLoader(before);
        registered.close();
    }

    private void write(Random random) throws IOException {
        Files.writeString(model.resolve("config.json"), String.format("{\"model_type\": \"toy\", \"vocab_size\": %d, "
                + "\"hidden_size\": %d, \"num_hidden_layers\": %d, \"max_position_embeddings\": 64}", VOCABULARY,
                HIDDEN, LAYERS));
        Map<String, long[]> shapes = new LinkedHashMap<>();
        shapes.put("tokens.weight", new long[] {VOCABULARY, HIDDEN});
        for (int i = 0; i < LAYERS; i++) {
            shapes.put("layers." + i + ".norm.weight", new long[] {HIDDEN});
            shapes.put("layers." + i + ".mix.weight", new long[] {HIDDEN, HIDDEN});
            shapes.put("layers." + i + ".mix.bias", new long[] {HIDDEN});
        }
        shapes.put("norm.weight", new long[] {HIDDEN});
        shapes.put("lm_head.weight", new long[] {VOCABULARY, HIDDEN});
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        shapes.forEach((name, shape) -> {
            float[] values = new float[(int) (shape.length == 1 ? shape[0] : shape[0] * shape[1])];
            for (int i = 0; i < values.length; i++) {
                values[i] = (float) random.nextGaussian() / 2;
            }
            weights.put(name, values);
            tensors.put(name, Tensor.of(values, shape));
        });
        new SafetensorsWriter().addAll(tensors).write(model.resolve("model.safetensors"));
        tensors.values().forEach(Tensor::close);
    }

    /** Logits of the token that follows one token, in float64. */
    private double[] reference(int token) {
        double[] x = new double[HIDDEN];
        for (int i = 0; i < HIDDEN; i++) {
            x[i] = weights.get("tokens.weight")[token * HIDDEN + i];
        }
        for (int layer = 0; layer < LAYERS; layer++) {
            String path = "layers." + layer + ".";
            double[] normed = normalised(x, weights.get(path + "norm.weight"));
            double[] mixed = product(weights.get(path + "mix.weight"), normed);
            for (int i = 0; i < HIDDEN; i++) {
                x[i] += mixed[i] + weights.get(path + "mix.bias")[i];
            }
        }
        return product(weights.get("lm_head.weight"), normalised(x, weights.get("norm.weight")));
    }

    private static double[] normalised(double[] x, float[] weight) {
        double squares = 0;
        for (double value : x) {
            squares += value * value;
        }
        double[] y = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            y[i] = x[i] / Math.sqrt(squares / x.length + ToyDecoder.EPS) * weight[i];
        }
        return y;
    }

    private static double[] product(float[] matrix, double[] x) {
        double[] y = new double[matrix.length / x.length];
        for (int row = 0; row < y.length; row++) {
            for (int i = 0; i < x.length; i++) {
                y[row] += matrix[row * x.length + i] * x[i];
            }
        }
        return y;
    }

    @Test
    void logitsAreThoseOfTheReference() {
        try (Stream stream = Stream.cpu(1); CausalLm toy = CausalLm.load(model, null, stream);
                Execution execution = new Execution(stream, Blas.on(stream.device()))) {
            assertInstanceOf(ToyDecoder.class, toy);
            assertEquals(toy.config(), CausalLm.config(model));
            int[] tokens = {3, 0, 11, 7};
            float[] logits = toy.logits(execution, TokenBatch.of(new int[] {3, 0, 11}, new int[] {7}));
            for (int i = 0; i < tokens.length; i++) {
                double[] expected = reference(tokens[i]);
                for (int v = 0; v < VOCABULARY; v++) {
                    assertEquals(expected[v], logits[i * VOCABULARY + v], 1e-5, "token " + i + ", logit " + v);
                }
            }
        }
    }

    /** Each token is followed by the next number. */
    private static List<CausalLmExample> counting(long seed) {
        Random random = new Random(seed);
        List<CausalLmExample> examples = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            int[] ids = new int[2 + random.nextInt(9)];
            int first = random.nextInt(VOCABULARY);
            for (int t = 0; t < ids.length; t++) {
                ids[t] = (first + t) % VOCABULARY;
            }
            examples.add(CausalLmExample.of(ids));
        }
        return examples;
    }

    @ParameterizedTest
    @ValueSource(strings = {"vblora", "lora"})
    void learns(String method) {
        AdapterConfig config = method.equals("lora")
                ? LoraConfig.builder().r(4).targetModules("all-linear").modulesToSave(List.of("lm_head")).build()
                : VbLoraConfig.builder().r(4).numVectors(64).vectorLength(4).targetModules("all-linear")
                        .modulesToSave(List.of("lm_head")).build();
        try (Stream stream = Stream.cpu(2); CausalLm toy = CausalLm.load(model, null, stream);
                Execution execution = new Execution(stream, Blas.on(stream.device()));
                Adapter adapter = Adapter.create(config, toy.linears(), toy.parameters(), toy.initializerRange(),
                        stream, 3)) {
            toy.attach(adapter);
            assertEquals(LAYERS, adapter.modules().size());
            TrainingResult result = new Trainer<>(new CausalLmObjective(toy), execution, TrainingArguments.builder()
                    .maxSteps(120).learningRate(0.02).learningRate("learning_rate_vector_bank", 0.02)
                    .learningRate("learning_rate_logits", 0.02).build(),
                    List.of()).train(counting(1), counting(2));
            double first = result.metricsBefore().get("eval_loss");
            double last = result.metricsAfter().get("eval_loss");
            System.out.printf("A toy decoder's held-out loss, %s: %.3f before, %.3f after%n", method, first, last);
            assertTrue(last < first / 2, () -> first + " before, " + last + " after");
        }
    }

    /** The command line finds it as well. */
    @Test
    void commandsTakeIt() throws Exception {
        Path data = folder.resolve("data.jsonl");
        StringBuilder lines = new StringBuilder();
        counting(4).forEach(example -> lines.append(
                String.format("{\"input_ids\": %s}%n", Arrays.toString(example.inputIds()))));
        Files.writeString(data, lines);
        Path adapter = folder.resolve("adapter");
        String output = run("finetune", "--model", model, "--train", data, "--output", adapter, "--max-steps", 2,
                "--num-vectors", 16);
        assertTrue(Files.exists(adapter.resolve("adapter_config.json")), output);
        assertTrue(run("evaluate", "--model", model, "--adapter", adapter, "--data", data).contains("perplexity"));
    }

    private String run(Object... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-cp", services + ":"
                        + System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                Main.class.getName()));
        List.of(arguments).forEach(argument -> command.add(argument.toString()));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), output);
        return output;
    }

    /** Says that it is Llama's. */
    public static final class Twin implements CausalLmArchitecture {
        @Override
        public String modelType() {
            return "llama";
        }

        @Override
        public DecoderConfig config(Path of) {
            throw new AssertionError();
        }

        @Override
        public CausalLm load(Path of, DType dtype, Stream stream) {
            throw new AssertionError();
        }
    }

    @Test
    void twoOfOneModelTypeAreRefused() throws IOException {
        Files.writeString(services.resolve("META-INF/services").resolve(CausalLmArchitecture.class.getName()),
                Twin.class.getName() + "\n");
        String message = assertThrows(IllegalStateException.class, () -> CausalLm.config(model)).getMessage();
        assertTrue(message.startsWith("Two architectures have the model_type llama: "), message);
    }

    @Test
    void whatIsNotRegisteredIsRefused() throws IOException {
        String withToy = expectedInPlaceOf("other");
        assertTrue(withToy.matches("\"llama\".* or \"toy\"; encoders of BERT's type are for "
                + "sequence-classification and sequence-regression"), withToy);
        Thread.currentThread().setContextClassLoader(before);
        assertEquals(withToy.replace(" or \"toy\"", ""), expectedInPlaceOf("toy"));
    }

    /** What the refusal of a model_type says there should be. */
    private String expectedInPlaceOf(String modelType) throws IOException {
        Files.writeString(model.resolve("config.json"), "{\"model_type\": \"" + modelType + "\"}");
        InputException e = assertThrows(InputException.class, () -> CausalLm.config(model));
        assertEquals("model_type", e.field());
        return e.expected();
    }
}

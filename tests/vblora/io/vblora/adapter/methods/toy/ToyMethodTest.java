package io.vblora.adapter.methods.toy;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.vblora.Golden;
import io.vblora.InputException;
import io.vblora.adapter.AdaptedModule;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.AdapterMethod;
import io.vblora.adapter.AdapterMethods;
import io.vblora.adapter.Composition;
import io.vblora.adapter.MethodSource;
import io.vblora.adapter.ModelParameter;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.methods.OwnMethods;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.blas.Blas;
import io.vblora.cli.CommandLineRun;
import io.vblora.data.CausalLmExample;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.model.Execution;
import io.vblora.model.LlamaModel;
import io.vblora.parameters.FloatTensors;
import io.vblora.parameters.NamedTensors;
import io.vblora.train.CausalLmObjective;
import io.vblora.train.Trainer;
import io.vblora.train.TrainingArguments;
import io.vblora.train.TrainingListener;
import io.vblora.train.TrainingResult;
import java.io.File;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A method that is nowhere named outside this folder is created, trained, saved and inspected as others are. */
class ToyMethodTest {
    @TempDir
    private Path folder;

    private final ClassLoader before = Thread.currentThread().getContextClassLoader();
    /** Without the toy. */
    private final List<AdapterMethod> own = new OwnMethods().methods();
    private URLClassLoader registered;

    /** The line that registers it is the one of the services' file. */
    @BeforeEach
    void register() throws IOException {
        Path services = folder.resolve("services");
        Path file = services.resolve("META-INF/services").resolve(MethodSource.class.getName());
        Files.createDirectories(file.getParent());
        Files.writeString(file, ToyMethod.class.getName() + "\n");
        registered = new URLClassLoader(new URL[] {services.toUri().toURL()}, before);
        Thread.currentThread().setContextClassLoader(registered);
    }

    @AfterEach
    void unregister() throws IOException {
        Thread.currentThread().setContextClassLoader(before);
        registered.close();
    }

    private AdapterConfig config(String... targets) throws IOException {
        Path file = folder.resolve(AdapterConfig.FILE_NAME);
        Files.writeString(file, "{\"peft_type\": \"TOY\", \"r\": 3, \"toy_scale\": 2, "
                + "\"target_modules\": [\"" + String.join("\", \"", targets) + "\"]}");
        return AdapterConfig.read(file);
    }

    private static List<CausalLmExample> examples() {
        Random random = new Random(3);
        List<CausalLmExample> examples = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            examples.add(CausalLmExample.of(random.ints(12, 0, 20).toArray()));
        }
        return examples;
    }

    @Test
    void isTrainedSavedAndLoaded() throws IOException {
        Path saved = folder.resolve("adapter");
        try (Stream stream = Stream.cpu(1); Execution execution = new Execution(stream, Blas.on(stream.device()));
                LlamaModel model = LlamaModel.load(Golden.own("models/tinyrand"), null, stream);
                Adapter adapter = Adapter.create(config("q_proj", "down_proj"), model.linears(), model.parameters(), 0,
                        stream, 1)) {
            AdaptedModule first = adapter.modules().get(0);
            assertEquals(2, first.scaling());
            model.attach(adapter);
            List<Map<String, Double>> rates = new ArrayList<>();
            TrainingListener listener = new TrainingListener() {
                @Override
                public void onStep(Step step) {
                    rates.add(step.learningRates());
                }
            };
            List<CausalLmExample> examples = examples();
            TrainingArguments arguments = TrainingArguments.builder().maxSteps(20).warmupSteps(1).build();
            TrainingResult result = new Trainer<>(new CausalLmObjective(model), execution, arguments, List.of(listener))
                    .train(examples, examples);
            double lossBefore = result.metricsBefore().get("eval_loss");
            double lossAfter = result.metricsAfter().get("eval_loss");
            assertTrue(lossAfter < lossBefore - 0.01, lossBefore + " before, " + lossAfter + " after");
            assertEquals(Map.of("learning_rate_toy", 0.01), rates.get(1));

            adapter.save(saved, false, stream);
            assertEquals(Files.size(saved.resolve(Adapter.WEIGHTS_FILE)), adapter.storedBytes(false));
            try (Adapter loaded = Adapter.load(saved, stream)) {
                assertArrayEquals(adapter.composition().packed().toFloats(), loaded.composition().packed().toFloats());
                try (Tensor delta = adapter.delta(first, stream);
                        Tensor again = loaded.delta(loaded.modules().get(0), stream)) {
                    assertArrayEquals(delta.toFloats(), again.toFloats());
                }
                model.attach(loaded);
                assertEquals(lossAfter, new CausalLmObjective(model).evaluate(execution, examples, 8, n -> {})
                        .get("eval_loss"));
            }
            Path onlyR = folder.resolve("only-r");
            adapter.save(onlyR, true, stream);
            try (Adapter loaded = Adapter.load(onlyR, model.parameters(), stream)) {
                assertArrayEquals(adapter.composition().packed().toFloats(), loaded.composition().packed().toFloats());
            }
            InputException e = assertThrows(InputException.class, () -> Adapter.load(onlyR, stream));
            assertEquals(first.path() + ".weight", e.field());
            assertEquals("no parameters of a model", e.found());
        }
        JsonNode report = new ObjectMapper().readTree(CommandLineRun.of("inspect", saved.toString(), "--json").out());
        assertEquals("TOY", report.get("peft_type").asText());
        assertEquals(2, report.get("toy_scale").asDouble());
        assertTrue(report.has("bytes_of_lora_of_equal_rank"));
    }

    /** A weight that the model stores as [in, out] makes the same A and B, also of what was stored without them. */
    @Test
    void baseWeightsAreReadHoweverTheyAreStored() throws IOException {
        int in = 5;
        int out = 4;
        float[] weight = new float[in * out];
        float[] transposed = new float[in * out];
        for (int o = 0; o < out; o++) {
            for (int i = 0; i < in; i++) {
                weight[o * in + i] = o * in + i;
                transposed[i * out + o] = o * in + i;
            }
        }
        Path onlyR = folder.resolve("only-r");
        try (Stream stream = Stream.cpu(1); Tensor outIn = Tensor.of(weight, out, in);
                Tensor inOut = Tensor.of(transposed, in, out)) {
            List<ModelParameter> asConv1d =
                    List.of(new ModelParameter("m.q_proj.weight", List.of((long) in, (long) out), inOut, true));
            try (Adapter linear = Adapter.create(config("q_proj"), List.of(new ModuleShape("m.q_proj", in, out)),
                    List.of(new ModelParameter("m.q_proj.weight", List.of((long) out, (long) in), outIn)), 0, stream,
                    1);
                    Adapter conv1d = Adapter.create(config("q_proj"), List.of(new ModuleShape("m.q_proj", in, out,
                            true)),
                            asConv1d, 0, stream, 1)) {
                float[] packed = linear.composition().packed().toFloats();
                assertArrayEquals(packed, conv1d.composition().packed().toFloats());
                conv1d.save(onlyR, true, stream);
                try (Adapter loaded = Adapter.load(onlyR, asConv1d, stream)) {
                    assertArrayEquals(packed, loaded.composition().packed().toFloats());
                    assertTrue(loaded.fanInFanOut(loaded.modules().get(0)));
                }
            }
        }
    }

    /** What passes add to is not the gradient of R, and what they read is not R. */
    @Test
    void packedMatricesAndTheirGradientFollow() throws IOException {
        try (Stream stream = Stream.cpu(1);
                LlamaModel model = LlamaModel.load(Golden.own("models/tinyrand"), null, stream);
                Adapter adapter = Adapter.create(config("q_proj", "down_proj"), model.linears(), model.parameters(), 0,
                        stream, 1);
                Adapter other = Adapter.create(config("q_proj", "down_proj"), model.linears(), model.parameters(), 0,
                        stream, 1)) {
            Composition composition = adapter.composition();
            composition.enableTraining(stream);
            FloatTensors.fill(composition.packedGradient(), () -> 1);
            composition.zeroGradient(stream);
            stream.synchronize();
            assertArrayEquals(new float[(int) composition.packed().elements()],
                    composition.packedGradient().toFloats());

            Composition moved = other.composition();
            FloatTensors.fill(((ToyComposition) moved).values(), () -> 0.5);
            moved.refresh(stream);
            float[] expected = moved.packed().toFloats();
            assertFalse(Arrays.equals(expected, composition.packed().toFloats()));
            try (NamedTensors parameters = moved.parameters(stream)) {
                composition.loadParameters(stream, parameters.asMap());
            }
            assertArrayEquals(expected, composition.packed().toFloats());
        }
    }

    @Test
    void isTrainedByTheCommandLine() throws IOException {
        Path data = folder.resolve("train.jsonl");
        Files.write(data, examples().stream().map(example -> "{\"input_ids\": " + Arrays.toString(example.inputIds())
                + "}").toList());
        Path saved = folder.resolve("adapter");
        CommandLineRun.of("finetune", "--model", Golden.own("models/tinyrand"), "--train", data, "--output", saved,
                "--method", "toy", "--toy-scale", "0.5", "--r", "2", "--max-steps", "2", "--warmup-steps", "0",
                "--learning-rate-toy", "0.125", "--metrics", folder.resolve("metrics.jsonl")).assertDone();
        JsonNode step = new ObjectMapper().readTree(Files.readAllLines(folder.resolve("metrics.jsonl")).get(0));
        assertEquals(0.125, step.get("learning_rate_toy").asDouble());
        try (Stream stream = Stream.cpu(1); Adapter adapter = Adapter.load(saved, stream)) {
            assertEquals("TOY", adapter.config().peftType());
            assertEquals(0.5f, adapter.modules().get(0).scaling());
        }
        CommandLineRun.of("finetune", "--model", Golden.own("models/tinyrand"), "--train", data, "--output", saved,
                "--toy-scale", "0.5").assertError(2, "--toy-scale means nothing to --method vblora");
    }

    /** LoRA has the same key, with a default of its own. */
    @Test
    void sharesAnOptionOfTheCommandLine() throws IOException {
        assertTrue(help().contains("LoRA: probability of dropout on the input of the updates while training (default: "
                + "0.0). Toy: probability of dropout (default: 0.25)."), help());
        assertEquals(0.25, dropoutOf("toy"));
        assertEquals(0.5, dropoutOf("toy", "--lora-dropout", "0.5"));
        assertEquals(0, dropoutOf("lora"));
        assertEquals(0.5, dropoutOf("lora", "--lora-dropout", "0.5"));
        CommandLineRun.of("finetune", "--model", "none", "--train", "none", "--output", folder.resolve("adapter"),
                "--lora-dropout", "0.5").assertError(2, "--lora-dropout means nothing to --method vblora");
    }

    /** Which any method accepts, as PEFT does. */
    @Test
    void hasAWordForTheBiasesOfAdaptedLayers() throws IOException {
        assertEquals("toy_only", configOf("toy", "--bias", "toy_only").get("bias").asText());
        assertEquals("toy_only", configOf("lora", "--bias", "toy_only").get("bias").asText());
        assertEquals("lora_only", configOf("toy", "--bias", "lora_only").get("bias").asText());

        Thread.currentThread().setContextClassLoader(before);
        InputException e = assertThrows(InputException.class, LoraConfig.builder().bias("toy_only")::build);
        assertEquals("bias", e.field());
        assertEquals("one of none, all, lora_only, vblora_only", e.expected());
    }

    /** As the library's own methods are. */
    @Test
    void isPartOfHelp() {
        String help = help();
        for (String stated : List.of("a frozen model with a VB-LoRA, LoRA or Toy adapter",
                "--method=METHOD vblora, lora, toy, head (default: vblora,",
                "Rank of the updates (default: 4 for vblora, 8 for lora, 3 for toy).",
                "beside the updates: none, all, lora_only, toy_only, vblora_only;",
                "--toy-scale=X Toy: factor of the updates.", "--toy-only-r Toy: store R alone.",
                "--learning-rate-toy=RATE Toy: learning rate of R.")) {
            assertTrue(help.contains(stated), stated + " is not in " + help);
        }
        Thread.currentThread().setContextClassLoader(before);
        assertFalse(help().toLowerCase(Locale.ROOT).contains("toy"), help());
    }

    /** Which it asks for by an option of its own. */
    @Test
    void isStoredInItsCompactForm() throws IOException {
        assertTrue(configOf("toy", "--toy-only-r").get("toy_only_r").asBoolean());
        assertFalse(configOf("toy").path("toy_only_r").asBoolean());
        refused("--toy-only-r", "lora");
        refused("--toy-only-r", "head");
        refused("--save-only-topk-weights", "toy");
    }

    private void refused(String option, String method) {
        CommandLineRun.of("finetune", "--model", "none", "--train", "none", "--output", folder.resolve("adapter"),
                "--task", "sequence-classification", "--method", method, option)
                .assertError(2, option + " means nothing to --method " + method);
    }

    private static String help() {
        return CommandLineRun.of("finetune", "--help").assertDone().out().replaceAll("\\s+", " ");
    }

    /** A key of all methods, with a default of the method's own. */
    @Test
    void sharesAnOptionOfAllMethods() throws IOException {
        assertEquals(3, configOf("toy").get("r").asInt());
        assertEquals(2, configOf("toy", "--r", "2").get("r").asInt());
        assertEquals(4, configOf("vblora", "--vector-length", "4").get("r").asInt());
        assertEquals(2, configOf("vblora", "--vector-length", "4", "--r", "2").get("r").asInt());
        assertEquals(5, configOf("lora", "--r", "5").get("r").asInt());
    }

    private double dropoutOf(String method, Object... options) throws IOException {
        return configOf(method, options).get("lora_dropout").asDouble();
    }

    /** What an adapter of a method is saved with. */
    private JsonNode configOf(String method, Object... options) throws IOException {
        Path data = folder.resolve("train.jsonl");
        Files.writeString(data, "{\"input_ids\": [1, 2, 3]}\n");
        Path saved = folder.resolve("adapter");
        List<Object> arguments = new ArrayList<>(List.of("finetune", "--model", Golden.own("models/tinyrand"),
                "--train", data, "--output", saved, "--method", method, "--max-steps", "1"));
        arguments.addAll(List.of(options));
        CommandLineRun.of(arguments.toArray()).assertDone();
        return new ObjectMapper().readTree(saved.resolve(AdapterConfig.FILE_NAME).toFile());
    }

    /** The first is the default of --method. A class loader of its own finds the toy before all others. */
    @Test
    void comesAfterTheLibrarysMethods() throws Exception {
        try (URLClassLoader loader = ofOwnCopy()) {
            Thread.currentThread().setContextClassLoader(loader);
            List<?> methods = (List<?>) loader.loadClass(AdapterMethods.class.getName()).getMethod("all").invoke(null);
            List<String> names = new ArrayList<>();
            own.forEach(method -> names.add(method.getClass().getSimpleName()));
            names.add("ToyMethod");
            assertEquals(names, methods.stream().map(method -> method.getClass().getSimpleName()).toList());
        }
    }

    /** A class loader with the toy's line and all of the class path, loaded anew. */
    private URLClassLoader ofOwnCopy() throws IOException {
        List<URL> urls = new ArrayList<>(List.of(registered.getURLs()));
        for (String path : System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"))
                .split(File.pathSeparator)) {
            urls.add(Path.of(path).toUri().toURL());
        }
        return new URLClassLoader(urls.toArray(URL[]::new), ClassLoader.getPlatformClassLoader());
    }

    @Test
    void beginsFromTheBaseModelsWeights() throws IOException {
        try (Stream stream = Stream.cpu(1);
                LlamaModel model = LlamaModel.load(Golden.own("models/tinyrand"), null, stream)) {
            InputException e = assertThrows(InputException.class,
                    () -> Adapter.create(config("q_proj", "down_proj"), model.linears(), stream, 1));
            assertTrue(e.field().endsWith("q_proj.weight") || e.field().endsWith("down_proj.weight"), e.getMessage());
        }
    }

    @Test
    void isUnknownWhereItIsNotRegistered() throws IOException {
        config("q_proj", "down_proj");
        Thread.currentThread().setContextClassLoader(before);
        InputException e = assertThrows(InputException.class, () -> AdapterConfig.read(folder));
        assertEquals("peft_type", e.field());
        assertEquals(own.stream().map(AdapterMethod::peftType).collect(Collectors.joining(" or ")), e.expected());
    }
}

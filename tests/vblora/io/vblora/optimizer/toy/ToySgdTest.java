package io.vblora.optimizer.toy;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.Golden;
import io.vblora.InputException;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.blas.Blas;
import io.vblora.cli.CommandLineRun;
import io.vblora.data.CausalLmExample;
import io.vblora.kernels.Stream;
import io.vblora.kernels.ops.StepState;
import io.vblora.model.Execution;
import io.vblora.model.LlamaModel;
import io.vblora.optimizer.Optimizer;
import io.vblora.optimizer.OptimizerFactory;
import io.vblora.optimizer.OptimizerSettings;
import io.vblora.optimizer.OptimizerState;
import io.vblora.optimizer.Optimizers;
import io.vblora.train.CausalLmObjective;
import io.vblora.train.Trainer;
import io.vblora.train.TrainingArguments;
import io.vblora.train.TrainingResult;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** An optimizer that is nowhere named outside this folder trains both kinds of parameters. */
class ToySgdTest {
    @TempDir
    private Path folder;

    private final ClassLoader before = Thread.currentThread().getContextClassLoader();
    private URLClassLoader registered;

    /** The line that registers it is the one of the services' file. */
    @BeforeEach
    void register() throws IOException {
        register(ToySgd.class.getName());
    }

    private void register(String factory) throws IOException {
        Path services = Files.createTempDirectory(folder, "services");
        Path file = services.resolve("META-INF/services").resolve(OptimizerFactory.class.getName());
        Files.createDirectories(file.getParent());
        Files.writeString(file, factory + "\n");
        registered = new URLClassLoader(new URL[] {services.toUri().toURL()}, before);
        Thread.currentThread().setContextClassLoader(registered);
    }

    @AfterEach
    void unregister() throws IOException {
        Thread.currentThread().setContextClassLoader(before);
        registered.close();
    }

    private static List<CausalLmExample> examples() {
        Random random = new Random(3);
        List<CausalLmExample> examples = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            examples.add(CausalLmExample.of(random.ints(12, 0, 20).toArray()));
        }
        return examples;
    }

    /** Rates that are high for AdamW: a few steps of plain descent are to show. */
    @Test
    void trainsAndWhatItLeavesIsWhatIsSaved() {
        AdapterConfig vbLora = VbLoraConfig.builder().targetModules("all-linear").numVectors(300).vectorLength(16)
                .initVectorBankBound(0.5).build();
        AdapterConfig lora = LoraConfig.builder().targetModules("all-linear").build();
        for (AdapterConfig config : List.of(vbLora, lora)) {
            try (Stream stream = Stream.cpu(1); Execution execution = new Execution(stream, Blas.on(stream.device()));
                    LlamaModel model = LlamaModel.load(Golden.own("models/tinyrand"), null, stream);
                    Adapter adapter = Adapter.create(config, model.linears(), stream, 1)) {
                model.attach(adapter);
                float[] before = adapter.composition().packed().toFloats();
                List<CausalLmExample> examples = examples();
                TrainingArguments arguments = TrainingArguments.builder().maxSteps(15).warmupSteps(1).maxGradNorm(0)
                        .learningRate(1).learningRate("learning_rate_vector_bank", 1)
                        .learningRate("learning_rate_logits", 50).build();
                TrainingResult result = new Trainer<>(new CausalLmObjective(model), execution, arguments, List.of(),
                        new ToySgd()).train(examples, examples);
                double lossBefore = result.metricsBefore().get("eval_loss");
                double lossAfter = result.metricsAfter().get("eval_loss");
                assertTrue(lossAfter < lossBefore - 0.01, config.peftType() + ": " + lossBefore + " before, "
                        + lossAfter + " after");
                adapter.save(folder, false, stream);
                try (Adapter loaded = Adapter.load(folder, stream)) {
                    float[] packed = loaded.composition().packed().toFloats();
                    assertArrayEquals(adapter.composition().packed().toFloats(), packed, config.peftType());
                    assertFalse(Arrays.equals(before, packed));
                }
            }
        }
    }

    /** The command line and training arguments find it by its name, and do what a trainer that is given it does. */
    @Test
    void isTakenByItsName() throws IOException {
        Path data = folder.resolve("train.jsonl");
        Files.write(data, examples().stream().map(example -> "{\"input_ids\": " + Arrays.toString(example.inputIds())
                + "}").toList());
        Path saved = folder.resolve("adapter");
        finetune(data, saved, "--optim", "toy").assertDone();
        float[] byCommand = packed(saved);
        TrainingArguments.Builder arguments = TrainingArguments.builder().maxSteps(3).warmupSteps(0).maxGradNorm(0)
                .learningRate(1);
        assertArrayEquals(byCommand, trained(arguments.build(), new ToySgd()));
        TrainingArguments named = arguments.optim("toy").build();
        assertArrayEquals(byCommand, trained(named, named.optimizer().create()));
        finetune(data, saved).assertDone();
        assertFalse(Arrays.equals(byCommand, packed(saved)), "as with the default");

        finetune(data, saved, "--optim", "toy", "--weight-decay", "0.5").assertError(2,
                "--weight-decay: found 0.5; expected 0, since the toy has no weight decay");
        InputException clipped = assertThrows(InputException.class, arguments.maxGradNorm(1)::build);
        assertEquals("max_grad_norm", clipped.field());
        finetune(data, saved, "--optim", "sgd").assertError(2, "--optim: found sgd; expected one of adamw, toy");
        assertTrue(CommandLineRun.of("finetune", "--help").assertDone().out().replaceAll("\\s+", " ")
                .contains("Optimizer, of those that are installed: adamw, toy (default: adamw)."));
    }

    private CommandLineRun finetune(Path data, Path saved, Object... options) {
        List<Object> arguments = new ArrayList<>(List.of("finetune", "--model", Golden.own("models/tinyrand"),
                "--train", data, "--output", saved, "--method", "lora", "--max-steps", "3", "--warmup-steps", "0",
                "--max-grad-norm", "0", "--learning-rate", "1"));
        arguments.addAll(List.of(options));
        return CommandLineRun.of(arguments.toArray());
    }

    private static float[] packed(Path saved) {
        try (Stream stream = Stream.cpu(1); Adapter adapter = Adapter.load(saved, stream)) {
            return adapter.composition().packed().toFloats();
        }
    }

    private static float[] trained(TrainingArguments arguments, Optimizer optimizer) {
        try (Stream stream = Stream.cpu(1); Execution execution = new Execution(stream, Blas.on(stream.device()));
                LlamaModel model = LlamaModel.load(Golden.own("models/tinyrand"), null, stream);
                Adapter adapter = Adapter.create(LoraConfig.builder().targetModules("all-linear").build(),
                        model.linears(), stream, arguments.seed())) {
            model.attach(adapter);
            new Trainer<>(new CausalLmObjective(model), execution, arguments, List.of(), optimizer)
                    .train(examples(), List.of());
            return adapter.composition().packed().toFloats();
        }
    }

    /** Says that it is AdamW. */
    public static final class Twin implements OptimizerFactory {
        @Override
        public String optim() {
            return "adamw";
        }

        @Override
        public Optimizer create(OptimizerSettings settings) {
            return new ToySgd();
        }
    }

    /** Makes no optimizer, and has no name. */
    public static final class Nothing implements OptimizerFactory {
        @Override
        public String optim() {
            return null;
        }

        @Override
        public Optimizer create(OptimizerSettings settings) {
            return null;
        }
    }

    /** One sentence, also from commands that need no optimizer but list them in their help. */
    @Test
    void oneThatCannotBeUsedIsAnError() throws IOException {
        for (String name : List.of("no.such.Factory", "not a name", Nothing.class.getName())) {
            unregister();
            register(name);
            CommandLineRun run = CommandLineRun.of("finetune", "--help");
            assertEquals(1, run.exitCode(), name);
            assertTrue(run.err().matches("vblora: error: A service cannot be used: [^\n]*\n"), run.err());
        }
    }

    @Test
    void twoOfOneNameAreAnError() throws IOException {
        unregister();
        register(Twin.class.getName());
        IllegalStateException e = assertThrows(IllegalStateException.class, Optimizers::names);
        assertTrue(e.getMessage().startsWith("Two optimizers are named adamw: "), e.getMessage());
        assertTrue(e.getMessage().contains(Twin.class.getName()), e.getMessage());
    }

    @Test
    void isUnknownWhereItIsNotRegistered() {
        Thread.currentThread().setContextClassLoader(before);
        InputException e = assertThrows(InputException.class, TrainingArguments.builder().optim("toy")::build);
        assertEquals("optim", e.field());
        assertEquals("toy", e.found());
        assertEquals("one of adamw", e.expected());
    }

    @Test
    void descendsAlongTheGradient() {
        try (Stream stream = Stream.cpu(1); Adapter adapter = Adapter.create(
                LoraConfig.builder().targetModules("all-linear").r(2).build(), List.of(new ModuleShape("a", 3, 2)),
                stream, 1); StepState step = new StepState(stream.device())) {
            adapter.composition().enableTraining(stream);
            float[] start = adapter.composition().packed().toFloats();
            float[] gradient = new float[start.length];
            for (int i = 0; i < gradient.length; i++) {
                gradient[i] = i - 3;
            }
            adapter.composition().packedGradient().copyFrom(gradient);
            try (OptimizerState sgd = new ToySgd().attach(stream, adapter.trainables())) {
                sgd.prepare(stream, 1, group -> 0.25);
                sgd.update(stream, step);
            }
            float[] found = adapter.composition().packed().toFloats();
            for (int i = 0; i < found.length; i++) {
                assertEquals(start[i] - 0.25f * gradient[i], found[i], "element " + i);
            }
        }
    }
}

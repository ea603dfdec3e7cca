package io.vblora.adapter;

import static io.vblora.kernels.global.vblora.vbl_allocated_bytes;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.JsonFields;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.TestDevice;
import io.vblora.kernels.ops.ClippedStep;
import io.vblora.kernels.ops.GradientNorm;
import io.vblora.optimizer.adamw.AdamWRun;
import io.vblora.parameters.FloatTensors;
import io.vblora.weights.SafetensorsFile;
import io.vblora.weights.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Heads that are trained whole and saved: PEFT's modules_to_save. */
@TestDevice.OnAny
class ModulesToSaveTest extends WithStream {
    private static final List<ModuleShape> LINEARS = List.of(new ModuleShape("roberta.layer.0.dense", 8, 12),
            new ModuleShape("roberta.layer.1.dense", 12, 8));
    private static final List<ModuleShape> HEADS = List.of(new ModuleShape("classifier.out_proj", 6, 3),
            new ModuleShape("classifier.dense", 8, 6));
    private static final String PREFIX = "base_model.model.";
    private static final String WEIGHT = PREFIX + "classifier.out_proj.weight";
    private static final String BIAS = PREFIX + "classifier.out_proj.bias";

    @TempDir
    private Path folder;

    /** As PEFT's model for sequence classification names them, whichever of them the base model has. */
    private static final List<String> TO_SAVE = List.of("classifier", "score");

    private static VbLoraConfig vbLora() {
        return VbLoraConfig.builder().targetModules(List.of("dense")).modulesToSave(TO_SAVE).r(2).numVectors(6)
                .vectorLength(4).topk(3).build();
    }

    private static LoraConfig lora() {
        return LoraConfig.builder().targetModules(List.of("dense")).modulesToSave(TO_SAVE).r(2).build();
    }

    private static LoraConfig headAlone() {
        return LoraConfig.builder().targetModules("dummy-target-modules").modulesToSave(TO_SAVE).build();
    }

    private Adapter create(AdapterConfig config) {
        return Adapter.create(config, LINEARS, ModelParameters.ofHeads(HEADS), 0.02, stream, 5);
    }

    @Test
    void beginAsHuggingFacesHeadsDoWhateverTheMethod() {
        List<ModuleShape> heads = List.of(new ModuleShape("classifier", 400, 100));
        List<float[]> weights = new ArrayList<>();
        for (AdapterConfig config : List.of(vbLora(), lora(), headAlone())) {
            try (Adapter adapter = Adapter.create(config, LINEARS, ModelParameters.ofHeads(heads), 0.03, stream, 1)) {
                weights.add(adapter.wholeParameters().value("classifier.weight").toFloats());
                assertArrayEquals(new float[100], adapter.wholeParameters().value("classifier.bias").toFloats());
                assertArrayEquals(new long[] {100, 400}, adapter.wholeParameters().value("classifier.weight").shape());
            }
        }
        assertArrayEquals(weights.get(0), weights.get(1));
        assertArrayEquals(weights.get(0), weights.get(2));
        // N(0, 0.03²): mean and variance of 40,000 numbers within 5 standard errors.
        double sum = 0;
        double squares = 0;
        for (float w : weights.get(0)) {
            sum += w;
            squares += (double) w * w;
        }
        assertEquals(0, sum / 40_000, 5 * 0.03 / Math.sqrt(40_000));
        assertEquals(0.0009, squares / 40_000, 5 * 0.0009 * Math.sqrt(2.0 / 40_000));
        try (Adapter other = Adapter.create(headAlone(), LINEARS, ModelParameters.ofHeads(heads), 0.03, stream, 2)) {
            assertNotEquals(weights.get(0)[0], other.wholeParameters().value("classifier.weight").getFloat(0));
        }
    }

    @Test
    void areTrainablesOfTheirOwn() {
        LoraConfig withoutHead = lora().toBuilder().modulesToSave(List.of()).build();
        try (Adapter both = create(vbLora()); Adapter head = create(headAlone());
                Adapter none = Adapter.create(withoutHead, LINEARS, stream, 1)) {
            assertEquals(List.of(both.composition(), both.wholeParameters()), both.trainables());
            assertEquals(8 * 6 + 6 + 6 * 3 + 3, both.wholeParameters().parameterCount());
            assertEquals(List.of("learning_rate_head true", "learning_rate_head false"), both.wholeParameters().groups()
                    .stream().map(group -> group.learningRate() + " " + group.decays()).toList());
            assertEquals(List.of("classifier.dense", "classifier.out_proj"),
                    both.savedModules());
            assertEquals(List.of(head.wholeParameters()), head.trainables());
            assertEquals(List.of(), head.modules());
            assertEquals(Map.of(), head.delta(stream));
            assertEquals(List.of(none.composition()), none.trainables());
            assertEquals(0, none.wholeParameters().parameterCount());
        }
    }

    /**
     * PEFT (utils/other.py, _set_trainable) wraps every module whose path ends with a name, whole parts or not, and a
     * wrapper holds all that is inside; and (tuners_utils.py, check_target_module_exists) adapts no module that has a
     * name among the parts of its path.
     */
    @Test
    void areMatchedAsPeftMatches() {
        ModuleSelector selector = lora().modules();
        for (String path : List.of("classifier", "score", "a.classifier", "classifier.dense", "subclassifier",
                "x.subclassifier.y.z", "high_score")) {
            assertTrue(selector.isToSave(path), path);
        }
        for (String path : List.of("classifiers", "classifier_2.dense", "scores", "dense", "roberta.layer")) {
            assertTrue(!selector.isToSave(path), path);
        }
        List<String> offered = List.of("a.dense", "classifier.dense", "b.score.dense", "subclassifier.dense");
        assertEquals(List.of("a.dense", "subclassifier.dense"), selector.select(
                offered.stream().map(path -> new ModuleShape(path, 1, 1)).toList()).stream().map(ModuleShape::path)
                .toList());
        // As PEFT writes "all-linear" out: with the head, which it then leaves alone.
        LoraConfig written = lora().toBuilder().targetModules(List.of("roberta.layer.0.dense", "classifier.dense"))
                .build();
        assertEquals(LINEARS.subList(0, 1), written.modules().select(LINEARS));
        assertThrows(InputException.class, () -> lora().toBuilder().targetModules(List.of("classifier.dense")).build()
                .modules().select(LINEARS));
    }

    private void assertNotCreated(AdapterConfig config, List<ModuleShape> heads, String field, String... parts) {
        long before = vbl_allocated_bytes();
        InputException e = assertThrows(InputException.class,
                () -> Adapter.create(config, LINEARS, ModelParameters.ofHeads(heads), 0.02, stream, 1));
        assertEquals(field, e.field(), e.getMessage());
        for (String part : parts) {
            assertTrue(e.getMessage().contains(part), e.getMessage());
        }
        assertEquals(before, vbl_allocated_bytes());
    }

    @Test
    void refuseNamesThatNameNoModule() {
        assertNotCreated(lora(), List.of(), "modules_to_save", "[classifier, score]", "offers no module");
        assertNotCreated(headAlone(), List.of(new ModuleShape("head", 2, 2)), "modules_to_save", "nearest are head");
        assertNotCreated(LoraConfig.builder().targetModules("dummy-target-modules").build(), HEADS, "modules_to_save",
                "nothing, and no module is adapted");
        InputException e = assertThrows(InputException.class, () -> VbLoraConfig.builder()
                .targetModules("dummy-target-modules").modulesToSave(TO_SAVE).build());
        assertEquals("target_modules", e.field());
    }

    @Test
    void haveToBeTheHeadsOfTheModel() {
        try (Adapter adapter = create(lora()); Adapter none = Adapter.create(
                lora().toBuilder().modulesToSave(List.of()).build(), LINEARS, stream, 1)) {
            adapter.checkFits(LINEARS, List.of(), ModelParameters.ofHeads(HEADS));
            none.checkFits(LINEARS);
            assertUnfit(adapter, List.of(), "classifier.dense.weight", "none, as the model offers none");
            assertUnfit(adapter, HEADS.subList(1, 2), "classifier.out_proj.weight", "nearest are classifier.dense");
            assertUnfit(adapter, List.of(HEADS.get(1), new ModuleShape("classifier.out_proj", 6, 4)),
                    "classifier.out_proj.weight", "shape [3, 6]", "[4, 6], as in the model");
            assertUnfit(adapter, List.of(HEADS.get(0), HEADS.get(1), new ModuleShape("score", 1, 1)),
                    "modules_to_save", "an adapter without score.weight");
            assertUnfit(none, HEADS, "modules_to_save", "an adapter without classifier.out_proj.weight");
        }
    }

    private static void assertUnfit(Adapter adapter, List<ModuleShape> heads, String field, String... parts) {
        InputException e = assertThrows(InputException.class,
                () -> adapter.checkFits(LINEARS, List.of(), ModelParameters.ofHeads(heads)));
        assertEquals(field, e.field(), e.getMessage());
        for (String part : parts) {
            assertTrue(e.getMessage().contains(part), e.getMessage());
        }
    }

    /** Random heads, as after training. */
    private static void randomize(Adapter adapter) {
        Random random = new Random(17);
        WholeParameters heads = adapter.wholeParameters();
        FloatTensors.fill(heads.values(), random::nextGaussian);
        heads.changed();
    }

    @Test
    void comeBackBitForBitFromAFolder() throws IOException {
        for (AdapterConfig config : List.of(vbLora(), lora(), headAlone())) {
            for (boolean topkOnly : config instanceof VbLoraConfig ? List.of(false, true) : List.of(false)) {
                String message = config.peftType() + " top-k only " + topkOnly;
                Path file = folder.resolve(Adapter.WEIGHTS_FILE);
                try (Adapter adapter = create(config)) {
                    randomize(adapter);
                    adapter.save(folder, topkOnly, stream);
                    byte[] written = Files.readAllBytes(file);
                    assertEquals(written.length, adapter.storedBytes(topkOnly), message);
                    try (Adapter loaded = Adapter.load(folder, stream)) {
                        assertEquals(TO_SAVE, loaded.config().modulesToSave());
                        assertEquals(!topkOnly, loaded.trainable());
                        loaded.checkFits(LINEARS, List.of(), ModelParameters.ofHeads(HEADS));
                        assertSameBits(numbers(adapter.wholeParameters().parameters(stream)),
                                numbers(loaded.wholeParameters().parameters(stream)), message);
                        if (!topkOnly) {
                            assertSameBits(numbers(adapter.composition().parameters(stream)),
                                    numbers(loaded.composition().parameters(stream)), message);
                        }
                        loaded.save(folder.resolve("again"), topkOnly, stream);
                    }
                    assertArrayEquals(written, Files.readAllBytes(folder.resolve("again/" + Adapter.WEIGHTS_FILE)),
                            message);
                }
            }
        }
        try (Adapter vbLora = create(vbLora()); Adapter lora = create(lora())) {
            assertEquals(lora.storedBytes(false), vbLora.loraStoredBytes());
        }
    }

    /**
     * PEFT names a tensor of a wrapped module (utils/save_and_load.py, get_peft_model_state_dict) by the module's path
     * in the PeftModel, whose base model is base_model.model, then the parameter's name in the module, without
     * "modules_to_save" and the adapter's name. Loading (set_peft_model_state_dict) looks up just these and fails where
     * one is missing; all others must be the updates'. A configuration whose target_modules is the string
     * "dummy-target-modules" adapts nothing (tuners_utils.py, inject_adapter).
     */
    @Test
    void areNamedInFilesAsPeftNamesThem() {
        Set<String> heads = Set.of(PREFIX + "classifier.dense.weight", PREFIX + "classifier.dense.bias", WEIGHT, BIAS);
        Map<AdapterConfig, List<String>> updates = Map.of(headAlone(), List.of(),
                lora(), List.of(".lora_A.weight", ".lora_B.weight"),
                vbLora(), List.of(".vblora_logits_A", ".vblora_logits_B"));
        updates.forEach((config, suffixes) -> {
            try (Adapter adapter = create(config)) {
                adapter.save(folder, false, stream);
            }
            Set<String> expected = new TreeSet<>(heads);
            for (ModuleShape module : LINEARS) {
                suffixes.forEach(suffix -> expected.add(PREFIX + module.path() + suffix));
            }
            if (config instanceof VbLoraConfig) {
                expected.add("base_model.vblora_vector_bank");
            }
            try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(Adapter.WEIGHTS_FILE))) {
                assertEquals(expected, new TreeSet<>(file.names()));
                assertEquals(List.of(3L, 6L), file.entry(WEIGHT).shape());
                assertEquals(List.of(3L), file.entry(BIAS).shape());
                assertEquals(DType.FLOAT32, file.entry(WEIGHT).dtype());
                assertEquals("pt", file.metadata().get("format"));
            }
            var json = JsonFields.read(folder.resolve(AdapterConfig.FILE_NAME)).object();
            assertEquals("[\"classifier\",\"score\"]", json.get("modules_to_save").toString());
            assertTrue(config != headAlone() || json.get("target_modules").asText().equals("dummy-target-modules"));
        });
    }

    private void rewrite(Consumer<Map<String, Tensor>> change) {
        Path file = folder.resolve(Adapter.WEIGHTS_FILE);
        Map<String, Tensor> tensors = new HashMap<>();
        try (SafetensorsFile source = SafetensorsFile.open(file)) {
            source.names().forEach(name -> tensors.put(name, source.read(name)));
        }
        change.accept(tensors);
        new SafetensorsWriter().metadata("format", "pt").addAll(tensors).write(file);
        tensors.values().forEach(Tensor::close);
    }

    @Test
    void keepTheirElementTypesUntilTheyChange() throws IOException {
        Path again = folder.resolve("again");
        for (DType dtype : List.of(DType.BFLOAT16, DType.FLOAT16)) {
            try (Adapter adapter = create(headAlone())) {
                adapter.save(folder, false, stream);
            }
            rewrite(tensors -> tensors.replaceAll((name, wide) -> {
                try (wide) {
                    return narrow(wide, dtype);
                }
            }));
            byte[] before = Files.readAllBytes(folder.resolve(Adapter.WEIGHTS_FILE));
            try (Adapter adapter = Adapter.load(folder, stream)) {
                adapter.save(again, false, stream);
                assertArrayEquals(before, Files.readAllBytes(again.resolve(Adapter.WEIGHTS_FILE)), dtype.code());
                adapter.wholeParameters().changed();
                adapter.save(again, false, stream);
            }
            try (SafetensorsFile file = SafetensorsFile.open(again.resolve(Adapter.WEIGHTS_FILE))) {
                assertEquals(DType.FLOAT32, file.entry(WEIGHT).dtype());
            }
        }
    }

    /** Saves a good adapter, breaks it, and requires an error that names the field, and nothing left in memory. */
    private void assertNotLoaded(AdapterConfig config, AdapterConfig claimed, Consumer<Map<String, Tensor>> change,
            String field, String... parts) {
        try (Adapter adapter = create(config)) {
            adapter.save(folder, false, stream);
        }
        rewrite(change);
        claimed.write(folder.resolve(AdapterConfig.FILE_NAME));
        long before = vbl_allocated_bytes();
        InputException e = assertThrows(InputException.class, () -> Adapter.load(folder, stream));
        assertEquals(field, e.field(), e.getMessage());
        assertTrue(e.source().startsWith(folder.toString()), e.getMessage());
        for (String part : parts) {
            assertTrue(e.getMessage().contains(part), e.getMessage());
        }
        assertEquals(before, vbl_allocated_bytes(), field);
    }

    @Test
    void refuseFilesThatDisagree() {
        LoraConfig unnamed = lora().toBuilder().modulesToSave(List.of()).build();
        LoraConfig other = lora().toBuilder().modulesToSave(List.of("score")).build();
        assertNotLoaded(lora(), unnamed, tensors -> {}, PREFIX + "classifier.dense.bias",
                "no part of a LORA adapter", "no modules_to_save");
        assertNotLoaded(lora(), other, tensors -> {}, PREFIX + "classifier.dense.bias", "modules_to_save [score]");
        for (AdapterConfig config : List.of(lora(), headAlone(), vbLora())) {
            assertNotLoaded(config, config, tensors -> tensors.remove(WEIGHT).close(), WEIGHT, "no tensor");
            assertNotLoaded(config, config, tensors -> tensors.get(WEIGHT).setFloat(17, Float.NaN), WEIGHT, "NaN");
            assertNotLoaded(config, config, tensors -> tensors.get(BIAS).setFloat(2, Float.POSITIVE_INFINITY), BIAS,
                    "Infinity at element 2");
            assertNotLoaded(config, config, tensors -> reshape(tensors, WEIGHT, 6, 3), BIAS, "[3]", "[6]");
            assertNotLoaded(config, config, tensors -> reshape(tensors, WEIGHT, 18), BIAS, "[3]", "[18]");
            assertNotLoaded(config, config, tensors -> reshape(tensors, WEIGHT, 3, 3, 2), WEIGHT, "[3, 3, 2]",
                    "[rows, columns]");
            assertNotLoaded(config, config, tensors -> reshape(tensors, BIAS, 3, 1), BIAS, "[3, 1]");
            assertNotLoaded(config, config, tensors -> {
                tensors.put(WEIGHT, Tensor.allocate(Device.CPU, DType.FLOAT32, 3, 0));
            }, WEIGHT, "[3, 0]");
            assertNotLoaded(config, config, tensors -> tensors.put(PREFIX + "pooler.dense.weight",
                    Tensor.of(new float[1], 1, 1)), PREFIX + "pooler.dense.weight", "no part of");
            assertNotLoaded(config, config, tensors -> tensors.put(PREFIX + ".weight", Tensor.of(new float[1], 1, 1)),
                    PREFIX + ".weight", "no part of");
            assertNotLoaded(config, config, tensors -> tensors.put(WEIGHT + "s", Tensor.of(new float[1], 1, 1)),
                    WEIGHT + "s", "no part of");
            assertNotLoaded(config, config, tensors -> tensors.put(WEIGHT, Tensor.of(new int[18], 3, 6)), WEIGHT);
        }
        assertNotLoaded(lora(), headAlone(), tensors -> {}, "target_modules", "updates of roberta.layer.0.dense");
        assertNotLoaded(headAlone(), lora(), tensors -> {}, "", "no adapted module");
        assertNotLoaded(headAlone(), headAlone(), tensors -> tensors.keySet().clear(), "", "no module to save");
    }

    private static void reshape(Map<String, Tensor> tensors, String name, long... shape) {
        try (Tensor old = tensors.get(name)) {
            tensors.put(name, Tensor.of(old.toFloats(), shape));
        }
    }

    @Test
    void giveTheirGradientsOnlyInTraining() {
        try (Adapter adapter = create(headAlone())) {
            WholeParameters heads = adapter.wholeParameters();
            assertThrows(IllegalStateException.class, () -> heads.gradient("classifier.dense.weight"));
            assertThrows(IllegalStateException.class, () -> heads.zeroGradient(stream));
            assertThrows(IllegalStateException.class, () -> heads.backward(stream));
            assertThrows(IllegalArgumentException.class, () -> heads.value("classifier"));
            heads.enableTraining(stream);
            Tensor gradient = heads.gradient("classifier.dense.bias");
            assertSame(gradient, heads.gradient("classifier.dense.bias"));
            assertArrayEquals(new long[] {6}, gradient.shape());
            assertArrayEquals(new long[] {3, 6}, heads.gradient("classifier.out_proj.weight").shape());
            gradient.setFloat(5, 2);
            assertEquals(2, numbers(heads.gradients(stream)).get(PREFIX + "classifier.dense.bias")[5]);
            heads.zeroGradient(stream);
            assertEquals(0, gradient.getFloat(5));
            gradient.setFloat(5, 2);
            heads.enableTraining(stream);
            assertEquals(0, heads.gradient("classifier.dense.bias").getFloat(5));
        }
    }

    /** Constants as PyTorch has them: computed in float64, rounded to float32. */
    private static final double RATE = 2e-3;
    private static final double BETA1 = 0.9;
    private static final double BETA2 = 0.999;
    private static final double EPSILON = 1e-8;
    private static final double DECAY = 0.1;

    /** One parameter's update by the formula in vblora/optimizer.h, in float32: state is {p, m, v}. */
    private static void adamw(float[] state, float gradient, float clip, long t, double decay) {
        float g = gradient * clip;
        float p = state[0] * (float) (1 - RATE * decay);
        state[1] += (g - state[1]) * (float) (1 - BETA1);
        state[2] = state[2] * (float) BETA2 + (float) (1 - BETA2) * g * g;
        float negStepSize = (float) (-RATE / (1 - Math.pow(BETA1, t)));
        float root = (float) Math.sqrt(1 - Math.pow(BETA2, t));
        state[0] = p + negStepSize * state[1] / ((float) Math.sqrt(state[2]) / root + (float) EPSILON);
    }

    @Test
    void areUpdatedAsAdamWDoesBitForBit() {
        Random random = new Random(3);
        try (Adapter adapter = create(vbLora());
                AdamWRun adamW = AdamWRun.of(stream, DECAY, adapter.wholeParameters());
                Tensor squares = Tensor.allocate(TestDevice.DEVICE, DType.FLOAT64, 1)) {
            WholeParameters heads = adapter.wholeParameters();
            int n = (int) heads.parameterCount();
            int weights = 8 * 6 + 6 * 3; // before the biases
            randomize(adapter); // biases, too, which begin with 0
            float[][] states = new float[n][3];
            float[] start = heads.values().toFloats();
            for (int i = 0; i < n; i++) {
                states[i][0] = start[i];
            }
            for (long t = 1; t <= 3; t++) {
                heads.zeroGradient(stream);
                double sum = 0;
                float[] gradient = new float[n];
                for (int i = 0; i < n; i++) {
                    gradient[i] = (float) random.nextGaussian();
                    sum += (double) gradient[i] * gradient[i];
                }
                // Twice a half, as two micro-batches add.
                for (int half = 0; half < 2; half++) {
                    float[] sums = heads.gradient().toFloats();
                    for (int i = 0; i < n; i++) {
                        sums[i] += gradient[i] / 2;
                    }
                    heads.gradient().copyFrom(sums);
                }
                heads.backward(stream);
                squares.zero();
                heads.sumSquares(stream, squares);
                assertEquals(sum, squares.toDoubles()[0], 1e-12 * sum);
                adamW.begin(t, group -> RATE);
                GradientNorm.clip(stream, squares, 1, adamW.step());
                float norm = ClippedStep.gradientNorm(stream, adamW.step());
                float clip = 1 / (norm + 1e-6f);
                long version = heads.version();
                adamW.update();
                assertEquals(version + 1, heads.version());
                stream.synchronize();
                float[] found = heads.values().toFloats();
                for (int i = 0; i < n; i++) {
                    adamw(states[i], gradient[i], clip, t, i < weights ? DECAY : 0);
                    assertEquals(states[i][0], found[i], "step " + t + " element " + i);
                }
            }
            heads.verify(stream);
            Map<String, float[]> named = numbers(heads.parameters(stream));
            // The first module by path comes first: weights [6, 8] and [3, 6], biases [6] and [3].
            assertArrayEquals(Arrays.copyOf(heads.values().toFloats(), 48),
                    named.get(PREFIX + "classifier.dense.weight"));
            assertArrayEquals(Arrays.copyOfRange(heads.values().toFloats(), 66, 72),
                    named.get(PREFIX + "classifier.dense.bias"));
            heads.value("classifier.out_proj.bias").setFloat(1, Float.NaN);
            InputException e = assertThrows(InputException.class, () -> heads.verify(stream));
            assertEquals(BIAS, e.field());
            assertThrows(InputException.class, () -> heads.enableTraining(stream));
        }
    }
}

package io.vblora.adapter;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.Golden;
import io.vblora.InputException;
import io.vblora.JsonFields;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.Selection;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.adapter.peft.PeftKeys;
import io.vblora.adapter.peft.StoredForm;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.TestDevice;
import io.vblora.parameters.FloatTensors;
import io.vblora.parameters.NamedTensors;
import io.vblora.weights.SafetensorsFile;
import io.vblora.weights.SafetensorsWriter;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.channels.Channels;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@TestDevice.OnAny
class AdapterTest extends WithStream {
    private static final List<ModuleShape> MODEL = List.of(new ModuleShape("layers.10.up", 8, 12),
            new ModuleShape("layers.2.up", 12, 8), new ModuleShape("layers.2.odd", 9, 8));

    @TempDir
    private Path folder;

    private static VbLoraConfig.Builder small() {
        return VbLoraConfig.builder().targetModules(List.of("up")).r(2).numVectors(6).vectorLength(4).topk(3);
    }

    private Adapter create(AdapterConfig config) {
        return Adapter.create(config, MODEL, stream, 5);
    }

    private static Map<String, float[]> deltas(Adapter adapter, Stream stream) {
        Map<String, float[]> result = new HashMap<>();
        adapter.delta(stream).forEach((path, delta) -> {
            result.put(path, delta.toFloats());
            delta.close();
        });
        return result;
    }

    private static void assertSameDeltas(Map<String, float[]> expected, Map<String, float[]> found, float tolerance,
            String message) {
        assertEquals(expected.keySet(), found.keySet(), message);
        expected.forEach((path, delta) -> assertArrayEquals(delta, found.get(path), tolerance, message));
    }

    @Test
    void createsOnSelectedModulesInOrder() {
        try (Adapter adapter = create(small().vbloraDropout(0.25).build())) {
            assertEquals(List.of("layers.2.up", "layers.10.up"),
                    adapter.modules().stream().map(AdaptedModule::path).toList());
            AdaptedModule module = adapter.module("layers.10.up").orElseThrow();
            assertEquals(1, module.index());
            assertArrayEquals(new long[] {2, 8}, module.a().shape());
            assertArrayEquals(new long[] {2, 12}, module.bt().shape());
            assertEquals(1, module.scaling());
            assertEquals(0.25f, module.dropout());
            assertTrue(adapter.module("layers.2.odd").isEmpty());
            // Bank 6 x 4, and 2 (8 + 12) / 4 rows of 6 logits per module.
            assertEquals(24 + 2 * 10 * 6, adapter.composition().parameterCount());
            assertThrows(IllegalStateException.class, module::da);
        }
    }

    @Test
    void initialisesAsPeftDoesAndRepeatably() {
        VbLoraConfig config = VbLoraConfig.builder().targetModules("all-linear").numVectors(64).vectorLength(64)
                .initVectorBankBound(0.5).initLogitsStd(2).build();
        List<ModuleShape> model = List.of(new ModuleShape("a", 4096, 4096));
        try (Adapter one = Adapter.create(config, model, stream, 1);
                Adapter same = Adapter.create(config, model, stream, 1);
                Adapter other = Adapter.create(config, model, stream, 2)) {
            assertArrayEquals(one.composition().packed().toFloats(), same.composition().packed().toFloats());
            assertNotEquals(one.composition().packed().getFloat(0), other.composition().packed().getFloat(0));
            Map<String, float[]> parameters = numbers(one.composition().parameters(stream));
            // Moments of U(-b, b) and N(0, s); 4,096 and 32,768 numbers put them within 5 standard errors.
            double[] bank = moments(parameters.get(BANK));
            assertEquals(0, bank[0], 5 * 0.5 / Math.sqrt(3 * 4096));
            assertEquals(0.25 / 3, bank[1], 0.01);
            for (float x : parameters.get(BANK)) {
                assertTrue(Math.abs(x) <= 0.5);
            }
            double[] logits = moments(concatenated(
                    parameters.get(PeftKeys.of("a", ".vblora_logits_A")),
                    parameters.get(PeftKeys.of("a", ".vblora_logits_B"))));
            assertEquals(0, logits[0], 5 * 2 / Math.sqrt(32768));
            assertEquals(4, logits[1], 5 * 4 * Math.sqrt(2.0 / 32768));
        }
        try (Adapter lora = Adapter.create(LoraConfig.builder().targetModules("all-linear").loraAlpha(24).build(),
                model, stream, 1)) {
            AdaptedModule module = lora.modules().get(0);
            assertEquals(3, module.scaling());
            double[] a = moments(module.a().toFloats());
            // kaiming_uniform with a = sqrt(5): uniform within 1 / sqrt(in) = 1/64.
            assertEquals(1.0 / 64 / 64 / 3, a[1], 5e-6);
            for (float x : module.a().toFloats()) {
                assertTrue(Math.abs(x) <= 1.0 / 64);
            }
            for (float x : module.bt().toFloats()) {
                assertEquals(0, x);
            }
        }
    }

    private static float[] concatenated(float[] first, float[] second) {
        float[] both = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, both, first.length, second.length);
        return both;
    }

    /** Mean, and mean of squares. */
    private static double[] moments(float[] values) {
        double sum = 0;
        double squares = 0;
        for (float x : values) {
            sum += x;
            squares += (double) x * x;
        }
        return new double[] {sum / values.length, squares / values.length};
    }

    @Test
    void saysWhichDimensionDoesNotFit() {
        InputException e = assertThrows(InputException.class,
                () -> create(small().targetModules(List.of("up", "odd")).build()));
        assertEquals("vector_length", e.field());
        assertTrue(e.found().contains("in_features 9 of layers.2.odd"), e.getMessage());
    }

    @Test
    void checksThatAModelFits() {
        try (Adapter adapter = create(small().build())) {
            adapter.checkFits(MODEL);
            InputException gone = assertThrows(InputException.class, () -> adapter.checkFits(
                    List.of(MODEL.get(1), new ModuleShape("layers.11.up", 8, 12))));
            assertEquals("layers.10.up", gone.field());
            assertTrue(gone.expected().contains("layers.11.up"), gone.getMessage());
            InputException size = assertThrows(InputException.class, () -> adapter.checkFits(
                    List.of(MODEL.get(1), new ModuleShape("layers.10.up", 8, 16))));
            assertTrue(size.found().contains("8 to 12") && size.expected().contains("8 to 16"), size.getMessage());
        }
    }

    /** save, load is the identity, for random shapes, in both modes and for LoRA. */
    @Test
    void loadsWhatItSaves() {
        for (long seed = 0; seed < 25; seed++) {
            Random random = new Random(seed);
            int b = 1 + random.nextInt(4);
            List<ModuleShape> model = new ArrayList<>();
            for (int i = 0; i <= random.nextInt(4); i++) {
                model.add(new ModuleShape("m." + i + ".w", b * (1 + random.nextInt(5)), b * (1 + random.nextInt(5))));
            }
            int h = 1 + random.nextInt(random.nextBoolean() ? 8 : 400);
            VbLoraConfig vbLora = VbLoraConfig.builder().targetModules("all-linear").vectorLength(b).numVectors(h)
                    .topk(1 + random.nextInt(Math.min(h, 5))).r(1 + random.nextInt(4))
                    .initLogitsStd(random.nextDouble() * 4)
                    .initVectorBankBound(1).fanInFanOut(random.nextBoolean()).build();
            LoraConfig lora = LoraConfig.builder().targetModules("all-linear").r(vbLora.r()).loraAlpha(3).build();
            LoraConfig patterns = lora.toBuilder().rankPattern(Map.of("m.0.w", 1 + random.nextInt(6)))
                    .alphaPattern(Map.of("1.w", 5.0, "0.w", 7.0)).useRslora(random.nextBoolean()).build();
            String message = "seed " + seed + " " + vbLora + model;
            List<Long> loraBytes = new ArrayList<>();
            for (AdapterConfig config : List.of(vbLora, lora)) {
                try (Adapter adapter = Adapter.create(config, model, stream, seed)) {
                    checkRoundTrip(adapter, false, 0, message);
                    if (config == vbLora) {
                        // The last weight comes back as one minus the others: off by their rounding.
                        checkRoundTrip(adapter, true, 5e-6f, message);
                    }
                    loraBytes.add(config == lora ? adapter.storedBytes(false) : adapter.loraStoredBytes());
                }
            }
            try (Adapter adapter = Adapter.create(patterns, model, stream, seed)) {
                adapter.composition().packed().copyFrom(random(adapter.composition().packed(), random));
                checkRoundTrip(adapter, false, 0, message);
            }
            assertEquals(loraBytes.get(0), loraBytes.get(1), message);
        }
    }

    /** As with PEFT, each layer of the model decides, and not what the configuration says of all. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aModelSaysHowItsWeightsAreStored(boolean configured) {
        List<ModuleShape> model = List.of(new ModuleShape("layers.0.up", 8, 12, true),
                new ModuleShape("layers.1.up", 8, 12));
        List<ModuleShape> unknown = model.stream().map(shape -> new ModuleShape(shape.path(), 8, 12)).toList();
        try (Adapter stored = Adapter.create(small().fanInFanOut(configured).build(), unknown, stream, 5)) {
            stored.save(folder, false, stream);
        }
        try (Adapter adapter = Adapter.load(folder, stream);
                Tensor before = adapter.delta(adapter.modules().get(0), stream)) {
            assertArrayEquals(configured ? new long[] {8, 12} : new long[] {12, 8}, before.shape());
            adapter.checkFits(model);
            adapter.belongTo(model, List.of(), List.of());
            float[] expected = before.toFloats();
            try (Tensor conv1d = adapter.delta(adapter.modules().get(0), stream);
                    Tensor linear = adapter.delta(adapter.modules().get(1), stream)) {
                assertArrayEquals(new long[] {8, 12}, conv1d.shape());
                assertArrayEquals(new long[] {12, 8}, linear.shape());
                for (int in = 0; in < 8; in++) {
                    for (int out = 0; out < 12; out++) {
                        assertEquals(expected[configured ? in * 12 + out : out * 8 + in],
                                conv1d.getFloat(in * 12 + out));
                    }
                }
            }
            assertEquals(1, adapter.notes().stream().filter(note -> note.contains("fan_in_fan_out is " + configured))
                    .count(), adapter.notes()::toString);
            adapter.save(folder, false, stream);
        }
        try (Adapter again = Adapter.load(folder, stream)) {
            assertTrue(again.config().fanInFanOut());
            assertEquals(List.of(), again.notes());
        }
    }

    private static float[] random(Tensor tensor, Random random) {
        float[] values = new float[(int) tensor.elements()];
        for (int i = 0; i < values.length; i++) {
            values[i] = random.nextFloat() - 0.5f;
        }
        return values;
    }

    private void checkRoundTrip(Adapter adapter, boolean saveOnlyTopkWeights, float tolerance, String message) {
        adapter.save(folder, saveOnlyTopkWeights, stream);
        try (Adapter loaded = Adapter.load(folder, stream)) {
            assertEquals(folder.resolve(Adapter.WEIGHTS_FILE).toFile().length(),
                    loaded.storedBytes(saveOnlyTopkWeights), message);
            assertEquals(adapter.storedBytes(saveOnlyTopkWeights), loaded.storedBytes(saveOnlyTopkWeights), message);
            assertEquals(!saveOnlyTopkWeights, loaded.trainable());
            assertSameDeltas(deltas(adapter, stream), deltas(loaded, stream), tolerance, message);
        }
    }

    @Test
    void writesDeltasToAFile() {
        try (Adapter adapter = create(small().build())) {
            Path file = folder.resolve("delta.safetensors");
            adapter.writeDelta(file, stream);
            try (SafetensorsFile written = SafetensorsFile.open(file)) {
                Map<String, float[]> expected = deltas(adapter, stream);
                assertEquals(expected.keySet(), written.names());
                assertEquals(List.of(8L, 12L), written.entry("layers.2.up").shape());
                for (String path : expected.keySet()) {
                    try (Tensor delta = written.read(path)) {
                        assertArrayEquals(expected.get(path), delta.toFloats());
                    }
                }
            }
        }
    }

    /** Each module's B A times its own lora_alpha / r, computed by hand. */
    @Test
    void patternsOfLoraAreTheModulesOwn() throws IOException {
        LoraConfig config = LoraConfig.builder().r(1).loraAlpha(2).targetModules(List.of("x", "y"))
                .rankPattern(Map.of("y", 2)).alphaPattern(Map.of("a.y", 6.0)).build();
        config.write(folder.resolve(AdapterConfig.FILE_NAME));
        writeTensors(tensors -> {
            tensors.put("base_model.model.a.x.lora_A.weight", Tensor.of(new float[] {1, 10}, 1, 2));
            tensors.put("base_model.model.a.x.lora_B.weight", Tensor.of(new float[] {3, 4}, 2, 1));
            tensors.put("base_model.model.a.y.lora_A.weight", Tensor.of(new float[] {1, 2, 3, 4}, 2, 2));
            tensors.put("base_model.model.a.y.lora_B.weight", Tensor.of(new float[] {1, 10}, 1, 2));
        });
        try (Adapter adapter = Adapter.load(folder, stream)) {
            Map<String, float[]> deltas = deltas(adapter, stream);
            assertArrayEquals(new float[] {6, 60, 8, 80}, deltas.get("a.x"));
            assertArrayEquals(new float[] {93, 126}, deltas.get("a.y"));
            checkRoundTrip(adapter, false, 0, "patterns");
            assertEquals(Files.size(folder.resolve(Adapter.WEIGHTS_FILE)), adapter.loraStoredBytes());
        }
        write(config.toBuilder().rankPattern(Map.of("y", 3)).build().json());
        InputException e = assertThrows(InputException.class, () -> Adapter.load(folder, stream));
        assertEquals("base_model.model.a.y.lora_A.weight", e.field());
        assertTrue(e.expected().contains("rank_pattern"), e.getMessage());
    }

    @Test
    void loraComputesScaledProducts() {
        LoraConfig config = LoraConfig.builder().r(1).loraAlpha(2).build();
        config.write(folder.resolve(AdapterConfig.FILE_NAME));
        writeTensors(tensors -> {
            tensors.put("base_model.model.x.lora_A.weight", Tensor.of(new float[] {1, 10}, 1, 2));
            tensors.put("base_model.model.x.lora_B.weight", Tensor.of(new float[] {3, 4, 5}, 3, 1));
        });
        try (Adapter adapter = Adapter.load(folder, stream)) {
            assertArrayEquals(new float[] {6, 60, 8, 80, 10, 100}, deltas(adapter, stream).get("x"));
            assertThrows(InputException.class, () -> adapter.save(folder, true, stream));
        }
        try (Adapter created = Adapter.create(config.toBuilder().targetModules(List.of("x")).build(),
                List.of(new ModuleShape("x", 2, 3)), stream, 0)) {
            created.save(folder, false, stream);
        }
        ObjectNode json = config.json().put("init_lora_weights", "gaussian").put("target_modules", "x");
        write(json);
        AdapterConfig gaussian = AdapterConfig.read(folder);
        InputException e = assertThrows(InputException.class,
                () -> Adapter.create(gaussian, List.of(new ModuleShape("x", 2, 3)), stream, 0));
        assertEquals("init_lora_weights", e.field());
    }

    /** An adapter that PEFT holds in bfloat16: read exactly, and written again with the same bytes until it changes. */
    @Test
    void keepsElementTypes() throws IOException {
        for (DType dtype : List.of(DType.BFLOAT16, DType.FLOAT16, DType.FLOAT64)) {
            try (Adapter adapter = create(small().build())) {
                adapter.save(folder, false, stream);
            }
            convertFloats(dtype);
            byte[] before = Files.readAllBytes(folder.resolve(Adapter.WEIGHTS_FILE));
            Path copy = folder.resolve("copy");
            try (Adapter adapter = Adapter.load(folder, stream)) {
                adapter.save(copy, false, stream);
            }
            assertArrayEquals(before, Files.readAllBytes(copy.resolve(Adapter.WEIGHTS_FILE)), dtype.toString());
        }
    }

    /** PEFT scatters top-k weights into float32 logits, which PyTorch refuses for any other type. */
    private byte[] written(SafetensorsWriter writer) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        writer.writeTo(Channels.newChannel(bytes));
        return bytes.toByteArray();
    }

    /** What an interrupt of the thread strikes is written once more, from its beginning. */
    @Test
    void tensorsCanBeWrittenAgain() throws IOException {
        for (boolean topkOnly : new boolean[] {false, true}) {
            for (Adapter made : List.of(create(small().build()), create(LoraConfig.builder().targetModules("all-linear")
                    .r(2).build()), Adapter.load(Golden.own("lora").resolve("bfloat16"), stream))) {
                try (made) {
                    if (topkOnly && made.config() instanceof LoraConfig) {
                        continue;
                    }
                    StoredForm form = made.config().form(topkOnly);
                    try (NamedTensors updates = made.composition().stored(form, stream)) {
                        SafetensorsWriter writer = AdapterWriter.of(made, form, updates, stream);
                        assertArrayEquals(written(writer), written(writer), made.config().toString());
                    }
                }
            }
        }
    }

    @Test
    void topkWeightsAreStoredInFloat32() {
        for (DType dtype : List.of(DType.BFLOAT16, DType.FLOAT16, DType.FLOAT64)) {
            for (boolean topkOnly : new boolean[] {false, true}) {
                try (Adapter adapter = create(small().build())) {
                    adapter.save(folder, topkOnly, stream);
                }
                convertFloats(dtype);
                Path copy = folder.resolve("copy");
                try (Adapter adapter = Adapter.load(folder, stream)) {
                    adapter.save(copy, true, stream);
                    try (SafetensorsFile file = SafetensorsFile.open(copy.resolve(Adapter.WEIGHTS_FILE));
                            Adapter loaded = Adapter.load(copy, stream)) {
                        assertEquals(DType.FLOAT32, file.entry(BANK).dtype());
                        assertEquals(DType.FLOAT32, file.entry(WEIGHTS).dtype());
                        assertSameDeltas(deltas(adapter, stream), deltas(loaded, stream), 5e-6f, dtype.toString());
                        assertEquals(copy.resolve(Adapter.WEIGHTS_FILE).toFile().length(), adapter.storedBytes(true));
                    }
                }
            }
        }
    }

    /** PEFT restores the last weight as one minus the float32 sum of the others, and takes its logarithm. */
    @Test
    void storedWeightsLeaveNothingNegative() {
        long seed = 3;
        try (Adapter adapter = Adapter.create(small().initLogitsStd(20).topk(6).build(), MODEL, stream, seed)) {
            adapter.save(folder, true, stream);
        }
        int peaked = 0;
        try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(Adapter.WEIGHTS_FILE));
                Tensor stored = file.read(WEIGHTS)) {
            float[] weights = stored.toFloats();
            for (int row = 0; row < weights.length / 5; row++) {
                float forwards = 0;
                float backwards = 0;
                for (int i = 0; i < 5; i++) {
                    forwards += weights[row * 5 + i];
                    backwards += weights[row * 5 + 4 - i];
                }
                peaked += forwards > 1 - 1e-6f ? 1 : 0;
                assertTrue(forwards <= 1 && backwards <= 1, "row " + row + ": " + forwards + ", " + backwards);
            }
        }
        assertTrue(peaked > 0);
        // bfloat16 rounds by up to 2^-9: such weights may add up to more than one.
        writeTensors(tensors -> {
            tensors.get(WEIGHTS).setFloat(0, 0.66796875f);
            tensors.get(WEIGHTS).setFloat(1, 0.333984375f);
            for (int i = 2; i < 5; i++) {
                tensors.get(WEIGHTS).setFloat(i, 0);
            }
        });
        convertFloats(DType.BFLOAT16);
        Path copy = folder.resolve("copy");
        try (Adapter adapter = Adapter.load(folder, stream)) {
            adapter.save(copy, true, stream);
            try (Adapter loaded = Adapter.load(copy, stream)) {
                assertSameDeltas(deltas(adapter, stream), deltas(loaded, stream), 0.004f, "rounded to bfloat16");
            }
        }
    }

    /** What "all-linear" means depends on the model: another one, or PEFT's, may have linear layers more. */
    @Test
    void writesOutWhatAllLinearWas() {
        List<ModuleShape> model = List.of(MODEL.get(1), MODEL.get(0), new ModuleShape("lm_head", 8, 12));
        List<String> paths = List.of("layers.2.up", "layers.10.up");
        for (AdapterConfig config : List.of(small().targetModules("All-Linear").build(),
                LoraConfig.builder().targetModules("all-linear").build())) {
            try (Adapter adapter = Adapter.create(config, model, stream, 5)) {
                assertEquals(paths, targets(adapter.config().json()));
                adapter.save(folder, false, stream);
            }
            ObjectNode stored = JsonFields.read(folder.resolve(AdapterConfig.FILE_NAME)).object();
            assertEquals(paths, targets(stored));
            for (String before : List.of("all-linear", "null")) {
                stored.putRawValue("target_modules", new com.fasterxml.jackson.databind.util.RawValue(
                        before.equals("null") ? before : '"' + before + '"'));
                write(stored);
                try (Adapter adapter = Adapter.load(folder, stream)) {
                    assertEquals(paths, targets(adapter.config().json()));
                    adapter.checkFits(MODEL);
                    adapter.checkFits(model);
                }
            }
        }
    }

    private static List<String> targets(ObjectNode config) {
        List<String> targets = new ArrayList<>();
        assertTrue(config.get("target_modules").isArray(), config::toString);
        config.get("target_modules").forEach(target -> targets.add(target.textValue()));
        return targets;
    }

    @Test
    void refusesTargetsThatContradictTheTensors() {
        for (Consumer<ObjectNode> change : List.<Consumer<ObjectNode>>of(
                json -> json.putArray("target_modules").add("2.up"),
                json -> json.put("target_modules", "layers\\.2\\..*"), json -> json.put("layers_to_transform", 2),
                json -> json.putArray("exclude_modules").add("10.up"),
                json -> json.putArray("modules_to_save").add("10"))) {
            try (Adapter adapter = create(small().build())) {
                adapter.save(folder, false, stream);
            }
            ObjectNode json = JsonFields.read(folder.resolve(AdapterConfig.FILE_NAME)).object();
            change.accept(json);
            write(json);
            InputException e = assertThrows(InputException.class, () -> Adapter.load(folder, stream), json.toString());
            assertEquals("target_modules", e.field(), e.getMessage());
            assertTrue(e.found().contains("does not select layers.") && e.found().contains(Adapter.WEIGHTS_FILE),
                    e.getMessage());
        }
        try (Adapter adapter = create(small().build())) {
            List<ModuleShape> larger = new ArrayList<>(MODEL);
            larger.add(new ModuleShape("layers.3.up", 8, 12));
            InputException e = assertThrows(InputException.class, () -> adapter.checkFits(larger));
            assertEquals("target_modules", e.field(), e.getMessage());
            assertTrue(e.found().contains("\"up\"") && e.found().contains("layers.3.up"), e.getMessage());
        }
    }

    @Test
    void saysWhatMatchesNoModule() {
        LoraConfig config = LoraConfig.builder().targetModules(List.of("up"))
                .rankPattern(Map.of("2.up", 3, "dwon", 4, "odd", 4)).alphaPattern(Map.of("layers.*", 3.0))
                .excludeModules(List.of("down", "2.dd")).build();
        try (Adapter adapter = create(config)) {
            List<String> notes = new ArrayList<>(adapter.notes());
            assertEquals(1, notes.size(), notes::toString);
            assertTrue(notes.get(0).startsWith("LoraConfig: rank_pattern: without effect, as no adapted module matches")
                    && notes.get(0).contains("\"dwon\"") && notes.get(0).contains("\"odd\""), notes.get(0));
            adapter.belongTo(MODEL, List.of(), List.of());
            notes.add("LoraConfig: exclude_modules: without effect, as no linear layer of the model matches \"down\", "
                    + "\"2.dd\"");
            assertEquals(notes, adapter.notes());
        }
        try (Adapter adapter = create(config.toBuilder().rankPattern(Map.of()).excludeModules("layers.2.(odd|x)")
                .build())) {
            adapter.belongTo(MODEL, List.of(), List.of());
            assertEquals(List.of(), adapter.notes());
        }
    }

    @Test
    void saysWhichModulesTakeNoPart() {
        List<ModuleShape> used = List.of(MODEL.get(0), MODEL.get(2));
        List<ModuleShape> idle = List.of(MODEL.get(1), new ModuleShape("layers.4.up", 8, 12));
        try (Adapter adapter = create(small().build())) {
            adapter.checkFits(used, idle, List.of());
            assertEquals(List.of(), adapter.notes());
            adapter.belongTo(used, idle, List.of());
            assertEquals(List.of("VbLoraConfig: layers.2.up is adapted, but takes no part in this use of the model"),
                    adapter.notes());
            adapter.belongTo(MODEL, List.of(), List.of());
            assertEquals(List.of(), adapter.notes());
            assertThrows(InputException.class, () -> adapter.checkFits(used,
                    List.of(new ModuleShape("layers.2.up", 12, 16)), List.of()));
        }
    }

    private void convertFloats(DType dtype) {
        Map<String, Tensor> tensors = new HashMap<>();
        Path file = folder.resolve(Adapter.WEIGHTS_FILE);
        try (SafetensorsFile source = SafetensorsFile.open(file)) {
            for (String name : source.names()) {
                if (source.entry(name).dtype() == DType.FLOAT32) {
                    try (Tensor wide = source.read(name)) {
                        tensors.put(name, dtype == DType.FLOAT64 ? widen(wide) : narrow(wide, dtype));
                    }
                } else {
                    tensors.put(name, source.read(name));
                }
            }
        }
        new SafetensorsWriter().metadata("format", "pt").addAll(tensors).write(file);
        tensors.values().forEach(Tensor::close);
    }

    private static Tensor widen(Tensor tensor) {
        Tensor wide = Tensor.allocate(Device.CPU, DType.FLOAT64, tensor.shape());
        FloatTensors.widen(tensor, wide);
        return wide;
    }

    private void write(ObjectNode json) {
        try {
            Files.writeString(folder.resolve(AdapterConfig.FILE_NAME), json.toString());
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    private void writeTensors(Consumer<Map<String, Tensor>> change) {
        Map<String, Tensor> tensors = new HashMap<>();
        Path file = folder.resolve(Adapter.WEIGHTS_FILE);
        if (Files.exists(file)) {
            try (SafetensorsFile source = SafetensorsFile.open(file)) {
                source.names().forEach(name -> tensors.put(name, source.read(name)));
            }
        }
        change.accept(tensors);
        new SafetensorsWriter().addAll(tensors).write(file);
        tensors.values().forEach(Tensor::close);
    }

    private void assertRefused(boolean topkOnly, Consumer<Map<String, Tensor>> change, String field) {
        assertRefused(topkOnly, change, json -> {}, field);
    }

    /** Saves a good adapter, breaks it, and requires an error that names the field and a file. */
    private void assertRefused(boolean topkOnly, Consumer<Map<String, Tensor>> change,
            Consumer<ObjectNode> changeConfig, String field) {
        try (Adapter adapter = create(small().build())) {
            adapter.save(folder, topkOnly, stream);
        }
        writeTensors(change);
        ObjectNode json = JsonFields.read(folder.resolve(AdapterConfig.FILE_NAME)).object();
        changeConfig.accept(json);
        write(json);
        InputException e = assertThrows(InputException.class, () -> Adapter.load(folder, stream), field);
        assertEquals(field, e.field(), e.getMessage());
        assertTrue(e.source().startsWith(folder.toString()), e.getMessage());
    }

    private static final String BANK = "base_model.vblora_vector_bank";
    private static final String A = "base_model.model.layers.2.up.vblora_logits_A";
    private static final String B = "base_model.model.layers.2.up.vblora_logits_B";
    private static final String INDICES = A + "_topk_indices";
    private static final String WEIGHTS = A + "_topk_weights";

    @Test
    void refusesTensorsThatDisagreeWithTheConfiguration() {
        assertRefused(false, tensors -> tensors.remove(BANK), BANK);
        assertRefused(false, tensors -> tensors.remove(B), B);
        assertRefused(false, tensors -> tensors.put("base_model.model.score.weight", tensors.get(B)),
                "base_model.model.score.weight");
        assertRefused(false, tensors -> tensors.replace(BANK, tensors.get(BANK).reshape(4, 6)), BANK);
        assertRefused(false, tensors -> tensors.replace(A, tensors.get(A).reshape(3, 2, 6)), A);
        assertRefused(false, tensors -> tensors.replace(B, tensors.get(B).reshape(4, 6)), B);
        assertRefused(false, tensors -> tensors.replace(A, Tensor.of(new int[36], 2, 3, 6)), A);
        assertRefused(false, tensors -> tensors.keySet().removeIf(name -> name.contains("layers")), "");
        assertRefused(false, tensors -> {}, json -> json.put("r", 3), A);
        assertRefused(false, tensors -> {}, json -> json.put("num_vectors", 5), BANK);
        assertRefused(false, tensors -> {}, json -> json.put("vector_length", 2), BANK);
        assertRefused(true, tensors -> {}, json -> json.put("topk", 2), INDICES);
        assertRefused(true, tensors -> tensors.replace(WEIGHTS, tensors.get(INDICES)), WEIGHTS);
        assertRefused(true, tensors -> tensors.replace(INDICES, Tensor.of(new float[18], 2, 3, 3)), INDICES);
        assertRefused(true, tensors -> tensors.remove(WEIGHTS), WEIGHTS);
    }

    @Test
    void refusesAFlagThatDisagreesWithTheTensors() {
        assertRefused(false, tensors -> {}, json -> json.put("save_only_topk_weights", true), "save_only_topk_weights");
        assertRefused(true, tensors -> {}, json -> json.put("save_only_topk_weights", false), "save_only_topk_weights");
    }

    @Test
    void refusesSelectionsThatCannotBe() {
        assertRefused(true, tensors -> tensors.get(INDICES).buffer(0, 1).put((byte) 6), INDICES);
        assertRefused(true, tensors -> tensors.get(INDICES).buffer(0, 2).put((byte) 1).put((byte) 1), INDICES);
        assertRefused(true, tensors -> {
            int[] negative = new int[18];
            java.util.Arrays.setAll(negative, i -> i % 3);
            negative[17] = -1;
            tensors.replace(INDICES, Tensor.of(negative, 2, 3, 3));
        }, INDICES);
        for (float bad : new float[] {-1e-6f, 1.00001f, Float.NaN, Float.POSITIVE_INFINITY}) {
            assertRefused(true, tensors -> tensors.get(WEIGHTS).setFloat(3, bad), WEIGHTS);
        }
        assertRefused(true, tensors -> {
            tensors.get(WEIGHTS).setFloat(0, 0.6f);
            tensors.get(WEIGHTS).setFloat(1, 0.5f);
        }, WEIGHTS);
    }

    @Test
    void refusesNumbersThatAreNone() {
        assertRefused(false, tensors -> tensors.get(A).setFloat(20, Float.NaN), A);
        assertRefused(false, tensors -> tensors.get(BANK).setFloat(20, Float.POSITIVE_INFINITY), BANK);
    }

    @Test
    void namesTheFileThatHoldsTheNumber() {
        String weights = folder.resolve(Adapter.WEIGHTS_FILE).toString();
        try (Adapter adapter = create(small().build())) {
            adapter.save(folder, false, stream);
        }
        // An infinite logit that is never selected decodes, but cannot be trained.
        writeTensors(tensors -> tensors.get(B).setFloat(20, Float.NEGATIVE_INFINITY));
        try (Adapter adapter = Adapter.load(folder, stream)) {
            InputException e = assertThrows(InputException.class,
                    () -> adapter.composition().enableTraining(stream));
            assertEquals(List.of(weights, B), List.of(e.source(), e.field()));
        }
        for (String name : List.of(BANK, A)) {
            writeTensors(tensors -> tensors.get(name).setFloat(20, Float.NaN));
            InputException e = assertThrows(InputException.class, () -> Adapter.load(folder, stream));
            assertEquals(weights, e.source());
        }
    }

    @Test
    void aWeightThatRoundingLeftNegativeIsZero() {
        try (Adapter adapter = create(small().build())) {
            adapter.save(folder, true, stream);
        }
        writeTensors(tensors -> {
            tensors.get(WEIGHTS).setFloat(0, 0.75f);
            tensors.get(WEIGHTS).setFloat(1, 0.250001f);
        });
        try (Adapter adapter = Adapter.load(folder, stream)) {
            assertArrayEquals(new float[] {0.75f, 0.250001f, 0}, Selection.weights(adapter, 0));
        }
    }

    @Test
    void saysWhatIsMissing() throws IOException {
        assertThrows(InputException.class, () -> Adapter.load(folder, stream));
        small().build().write(folder.resolve(AdapterConfig.FILE_NAME));
        InputException none = assertThrows(InputException.class, () -> Adapter.load(folder, stream));
        assertEquals(folder.resolve(Adapter.WEIGHTS_FILE).toString(), none.source());
        Files.createFile(folder.resolve("adapter_model.bin"));
        InputException pickled = assertThrows(InputException.class, () -> Adapter.load(folder, stream));
        assertTrue(pickled.found().contains("adapter_model.bin"), pickled.getMessage());
    }
}

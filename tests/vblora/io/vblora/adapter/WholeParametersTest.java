package io.vblora.adapter;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.kernels.DType;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.TestDevice;
import io.vblora.kernels.ops.Memory;
import io.vblora.parameters.ParameterGroup;
import io.vblora.weights.SafetensorsFile;
import io.vblora.weights.SafetensorsWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Parameters of the base model that an adapter holds whole: PEFT's bias, and modules_to_save that the base has. */
@TestDevice.OnAny
class WholeParametersTest extends WithStream {
    private static final String PREFIX = "base_model.model.";
    private static final List<ModuleShape> LINEARS = List.of(new ModuleShape("m.layer.0.q", 4, 4),
            new ModuleShape("m.layer.0.k", 4, 4));

    @TempDir
    private Path folder;
    private final List<Tensor> owned = new ArrayList<>();
    private final List<ModelParameter> model = new ArrayList<>();

    /** A table in bfloat16, two layers, one with a bias, a norm, and a head. */
    @BeforeEach
    void makeModel() {
        offer("m.embed.weight", DType.BFLOAT16, 3, 4);
        offer("m.layer.0.q.weight", DType.FLOAT32, 4, 4);
        offer("m.layer.0.q.bias", DType.FLOAT32, 4);
        offer("m.layer.0.k.weight", DType.FLOAT32, 4, 4);
        offer("m.layer.0.norm.weight", DType.FLOAT32, 4);
        offer("m.layer.0.norm.bias", DType.FLOAT32, 4);
        model.addAll(ModelParameters.ofHeads(List.of(new ModuleShape("classifier", 4, 2))));
    }

    /** Numbers 1, 2, 3 ..., which every type holds. */
    private void offer(String name, DType dtype, long... shape) {
        Tensor wide = Tensor.allocate(stream.device(), DType.FLOAT32, shape);
        owned.add(wide);
        float[] values = new float[(int) wide.elements()];
        for (int i = 0; i < values.length; i++) {
            values[i] = i + 1;
        }
        wide.copyFrom(values);
        Tensor held = wide;
        if (dtype != DType.FLOAT32) {
            held = Tensor.allocate(stream.device(), dtype, shape);
            owned.add(held);
            Memory.convert(stream, wide, held);
            stream.synchronize();
        }
        List<Long> dimensions = new ArrayList<>();
        for (long n : shape) {
            dimensions.add(n);
        }
        model.add(new ModelParameter(name, dimensions, held));
    }

    @AfterEach
    void closeModel() {
        owned.forEach(Tensor::close);
    }

    private static LoraConfig lora(String bias, String... saved) {
        return LoraConfig.builder().targetModules(List.of("q")).bias(bias).modulesToSave(List.of(saved)).r(2).build();
    }

    private Adapter create(AdapterConfig config) {
        return Adapter.create(config, LINEARS, model, 0.02, stream, 3);
    }

    private Set<String> keys(AdapterConfig config) {
        try (Adapter adapter = create(config)) {
            adapter.save(folder, false, stream);
        }
        try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(Adapter.WEIGHTS_FILE))) {
            Set<String> keys = new TreeSet<>(file.names());
            keys.removeIf(key -> key.contains(".lora_"));
            return keys;
        }
    }

    /** As PEFT 0.21.0 names them: tests/golden/whole has files of its own. */
    @Test
    void areThoseThatPeftTrainsUnderItsNames() {
        String base = PREFIX + "m.layer.0.q.base_layer.bias";
        Set<String> head = Set.of(PREFIX + "classifier.weight", PREFIX + "classifier.bias");
        assertEquals(head, keys(lora("none", "classifier")));
        for (String adapted : List.of("lora_only", "vblora_only")) {
            assertEquals(with(head, base), keys(lora(adapted, "classifier")));
        }
        assertEquals(with(head, base, PREFIX + "m.layer.0.norm.bias"), keys(lora("all", "classifier")));
        assertEquals(with(head, PREFIX + "m.embed.weight", PREFIX + "m.layer.0.norm.weight",
                PREFIX + "m.layer.0.norm.bias"), keys(lora("none", "classifier", "embed", "norm")));
        assertEquals(with(head, PREFIX + "m.layer.0.k.weight"), keys(lora("none", "classifier", "layer.0.k")));
    }

    /** Of the first, PEFT 0.21.0 cannot load what it saved (KeyError); the second it does not wrap (TypeError). */
    @Test
    void areOfModulesThatPeftCanRead() {
        for (List<String> nested : List.of(List.of("k", "layer.0"), List.of("0.k", "0"))) {
            assertCannotBeSaved(nested, ", which names m.layer.0 and, in it, m.layer.0.k");
        }
        assertCannotBeSaved(List.of("layer"), ", which names m.layer, a list of modules");
    }

    private void assertCannotBeSaved(List<String> names, String found) {
        InputException e = assertThrows(InputException.class, () -> create(LoraConfig.builder()
                .targetModules(ModuleSelector.DUMMY_TARGET_MODULES).modulesToSave(names).build()));
        assertEquals("modules_to_save", e.field());
        assertEquals(names + found, e.found());
    }

    private static Set<String> with(Set<String> names, String... more) {
        Set<String> all = new TreeSet<>(names);
        all.addAll(List.of(more));
        return all;
    }

    @Test
    void beginAsInTheBaseModelAndLearnAtTheRateOfUpdates() {
        try (Adapter adapter = create(lora("all", "classifier", "embed", "norm"))) {
            WholeParameters whole = adapter.wholeParameters();
            assertArrayEquals(new float[] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
                    whole.value("m.embed.weight").toFloats());
            for (String vector : List.of("m.layer.0.q.bias", "m.layer.0.norm.weight", "m.layer.0.norm.bias")) {
                assertArrayEquals(new float[] {1, 2, 3, 4}, whole.value(vector).toFloats(), vector);
            }
            assertArrayEquals(new float[2], whole.value("classifier.bias").toFloats());
            adapter.checkFits(LINEARS, List.of(), model);
            assertEquals(Set.of(WholeParameters.HEAD_MATRICES, WholeParameters.HEAD_VECTORS),
                    Set.copyOf(whole.groups()), "before it belongs to a model");
            adapter.belongTo(LINEARS, List.of(), model);
            assertEquals(Set.of("learning_rate true", "learning_rate_head true", "learning_rate false",
                    "learning_rate_head false"), whole.groups().stream().map(group -> group.learningRate() + " "
                            + group.decays()).collect(Collectors.toSet()));
            assertTrue(whole.groups().containsAll(List.of(ParameterGroup.MATRICES, ParameterGroup.VECTORS)));
            assertEquals(List.of("classifier", "m.embed", "m.layer.0.norm"), adapter.savedModules());
            assertEquals(List.of("m.layer.0.q.bias"), adapter.biases());
        }
    }

    private void rewrite(Consumer<Map<String, Tensor>> change) {
        Path path = folder.resolve(Adapter.WEIGHTS_FILE);
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            file.names().forEach(name -> tensors.put(name, file.read(name)));
        }
        change.accept(tensors);
        new SafetensorsWriter().addAll(tensors).write(path);
        tensors.values().forEach(Tensor::close);
    }

    private InputException refused(AdapterConfig written, AdapterConfig read, Consumer<Map<String, Tensor>> change) {
        try (Adapter adapter = create(written)) {
            adapter.save(folder, false, stream);
        }
        rewrite(change);
        read.write(folder.resolve(AdapterConfig.FILE_NAME));
        return assertThrows(InputException.class, () -> {
            try (Adapter adapter = Adapter.load(folder, stream)) {
                adapter.checkFits(LINEARS, List.of(), model);
            }
        });
    }

    /** PEFT before 0.21 stored no biases with "lora_only", and loads such a file as if they had not been trained. */
    @Test
    void areAllThatTheConfigurationNames() {
        LoraConfig only = lora("lora_only", "classifier");
        InputException gone = refused(only, only, tensors -> tensors.remove(PREFIX + "m.layer.0.q.base_layer.bias")
                .close());
        assertEquals("bias", gone.field());
        assertTrue(gone.found().contains("an adapter without m.layer.0.q.bias"), gone.getMessage());
        LoraConfig norm = lora("none", "classifier", "norm");
        gone = refused(norm, norm, tensors -> tensors.remove(PREFIX + "m.layer.0.norm.bias").close());
        assertEquals("modules_to_save", gone.field());
        assertTrue(gone.found().contains("an adapter without m.layer.0.norm.bias"), gone.getMessage());
        InputException more = refused(only, lora("none", "classifier"), tensors -> {});
        assertEquals(PREFIX + "m.layer.0.q.base_layer.bias", more.field());
        assertTrue(more.expected().contains("bias is \"none\""), more.getMessage());
        InputException length = refused(only, only, tensors -> {
            tensors.remove(PREFIX + "m.layer.0.q.base_layer.bias").close();
            tensors.put(PREFIX + "m.layer.0.q.base_layer.bias", Tensor.of(new float[3], 3));
        });
        assertEquals("m.layer.0.q.bias", length.field());
        assertTrue(length.found().contains("[3]") && length.expected().contains("[4]"), length.getMessage());
    }

    /** With bias "all" PEFT writes two more copies of the biases of modules to save, which it has no use for. */
    @Test
    void areReadWithoutPeftsCopies() {
        LoraConfig all = lora("all", "classifier");
        try (Adapter adapter = create(all)) {
            adapter.save(folder, false, stream);
        }
        rewrite(tensors -> {
            tensors.put(PREFIX + "classifier.original_module.bias", Tensor.of(new float[] {7, 8}, 2));
            tensors.put(PREFIX + "classifier.modules_to_save.bias", Tensor.of(new float[] {5, 6}, 2));
        });
        try (Adapter adapter = Adapter.load(folder, stream)) {
            adapter.checkFits(LINEARS, List.of(), model);
            assertArrayEquals(new float[2], adapter.wholeParameters().value("classifier.bias").toFloats());
            assertEquals(2, adapter.biases().size());
        }
        InputException e = refused(lora("lora_only", "classifier"), lora("lora_only", "classifier"),
                tensors -> tensors.put(PREFIX + "classifier.original_module.bias", Tensor.of(new float[2], 2)));
        assertEquals(PREFIX + "classifier.original_module.bias", e.field());
    }

    @Test
    void areNotAdaptedAsWell() {
        InputException e = assertThrows(InputException.class, () -> create(LoraConfig.builder()
                .targetModules(List.of("m.layer.0.q")).modulesToSave(List.of("r.0.q")).build()));
        assertEquals("modules_to_save", e.field());
        assertTrue(e.found().contains("m.layer.0.q, which is adapted"), e.getMessage());
    }
}

package io.vblora.adapter.methods.vblora;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.Golden;
import io.vblora.InputException;
import io.vblora.JsonFields;
import io.vblora.adapter.AdaptedModule;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.WithStream;
import io.vblora.adapter.peft.PeftKeys;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.TestDevice;
import io.vblora.parameters.FloatTensors;
import io.vblora.weights.SafetensorsFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Folders that PEFT wrote, with the deltas that PEFT computes from them in float64 (../shared/golden/storage, of which
 * tests/golden/storage is the small part).
 */
@TestDevice.OnAny
class PeftStorageTest extends WithStream {
    /** Error of PyTorch's own float32 in its worst case, delta_f32_vs_f64_relmax of mlp_h4_k4_topk. */
    private static final double PYTORCH_WORST = 1.98e-7;

    @TempDir
    private Path temporary;

    static List<String> ownCases() {
        return cases(Golden.own("storage"));
    }

    private static List<String> cases(Path folder) {
        return JsonFields.read(folder.resolve("index.json")).object().properties().stream().map(Map.Entry::getKey)
                .sorted().toList();
    }

    @ParameterizedTest
    @MethodSource("ownCases")
    void readsAndWritesWhatPeftWrites(String name) throws IOException {
        check(Golden.own("storage"), name);
    }

    @Test
    void readsAndWritesAllThatPeftWrote() throws IOException {
        Path storage = Golden.shared("golden/storage");
        List<String> names = cases(storage);
        assertTrue(names.size() >= 17, names::toString);
        for (String name : names) {
            check(storage, name);
        }
    }

    @Test
    void storesTheSelectionAsPeftDoes() {
        for (String name : List.of("conv1d_h16", "mlp_h10_k8", "mlp_h4_k4", "mlp_h256_k2")) {
            Path ours = temporary.resolve(name);
            Path peft = Golden.own("storage").resolve(name + "_topk");
            try (Adapter adapter = Adapter.load(Golden.own("storage").resolve(name + "_full"), stream)) {
                adapter.save(ours, true, stream);
            }
            assertSameTensors(peft, ours, 1e-7f);
            assertSameJson(peft, ours, "target_modules");
            checkDeltas(name, ours, pytorchError(Golden.own("storage"), name + "_topk"));
        }
    }

    private void check(Path storage, String name) throws IOException {
        Path peft = storage.resolve(name);
        checkDeltas(name, peft, pytorchError(storage, name));
        Path ours = temporary.resolve("copy_of_" + name);
        boolean topkOnly = name.endsWith("_topk");
        long bytes = JsonFields.read(storage.resolve("index.json")).object(name).integer("adapter_bytes", 0, 1L << 40);
        try (Adapter adapter = Adapter.load(peft, stream)) {
            assertEquals(!topkOnly, adapter.trainable());
            checkTruth(name, adapter, peft);
            checkMatrices(name, adapter, peft.resolve("expected.safetensors"));
            assertEquals(bytes, adapter.storedBytes(topkOnly), name);
            adapter.save(ours, topkOnly, stream);
        }
        assertSameTensors(peft, ours, 0);
        assertSameJson(peft, ours);
        assertArrayEquals(Files.readAllBytes(peft.resolve(PeftKeys.WEIGHTS_FILE)),
                Files.readAllBytes(ours.resolve(PeftKeys.WEIGHTS_FILE)), name);
    }

    /** Error of PEFT's float32 delta against its float64, max abs over max, as measured when the folder was made. */
    private static double pytorchError(Path storage, String name) {
        return JsonFields.read(storage.resolve("index.json")).object(name).number("delta_f32_vs_f64_relmax", 0, 1);
    }

    /** Ours against B A in float64 from the stored numbers: as near as PEFT's own float32 is to its float64. */
    private void checkDeltas(String name, Path folder, double pytorchError) {
        try (Adapter adapter = Adapter.load(folder, stream);
                SafetensorsFile stored = SafetensorsFile.open(folder.resolve(PeftKeys.WEIGHTS_FILE))) {
            for (AdaptedModule module : adapter.modules()) {
                try (Tensor delta = adapter.delta(module, stream)) {
                    double error = Float64Update.read((VbLoraConfig) adapter.config(), stored, module.path())
                            .error(delta.toFloats());
                    assertTrue(error <= pytorchError, () -> name + " " + module.path() + ": error " + error
                            + ", PEFT's " + pytorchError);
                }
            }
        }
    }

    /** That the truth above is PEFT's, but for how PEFT stores and restores weights. */
    private static void checkTruth(String name, Adapter adapter, Path folder) {
        try (SafetensorsFile expected = SafetensorsFile.open(folder.resolve("expected.safetensors"));
                SafetensorsFile stored = SafetensorsFile.open(folder.resolve(PeftKeys.WEIGHTS_FILE))) {
            for (AdaptedModule module : adapter.modules()) {
                try (Tensor peft = expected.readFloat32(module.path() + ".delta_f64")) {
                    assertArrayEquals(adapter.config().fanInFanOut()
                            ? new long[] {module.inFeatures(), module.outFeatures()}
                            : new long[] {module.outFeatures(), module.inFeatures()}, peft.shape(), name);
                    Float64Update.read((VbLoraConfig) adapter.config(), stored, module.path())
                            .assertRestored(name + " " + module.path(), peft.toFloats());
                }
            }
            long deltas = expected.names().stream().filter(key -> key.endsWith(".delta_f64")).count();
            assertEquals(deltas, adapter.modules().size(), name);
        }
    }

    /** A and B against what PEFT computed in float32 too: both may be as far from the truth as PyTorch is. */
    private static void checkMatrices(String name, Adapter adapter, Path expectedFile) {
        try (SafetensorsFile expected = SafetensorsFile.open(expectedFile)) {
            for (AdaptedModule module : adapter.modules()) {
                try (Tensor a = expected.readFloat32(module.path() + ".A");
                        Tensor b = expected.readFloat32(module.path() + ".B");
                        Tensor ours = Tensor.allocate(Device.CPU, DType.FLOAT32, module.outFeatures(), module.r())) {
                    FloatTensors.transpose(module.bt(), ours);
                    assertError(name + " A of " + module.path(), a, module.a(), 2 * PYTORCH_WORST);
                    assertError(name + " B of " + module.path(), b, ours, 2 * PYTORCH_WORST);
                }
            }
        }
    }

    private static void assertError(String where, Tensor truth, Tensor found, double bound) {
        for (float x : found.toFloats()) {
            assertTrue(Float.isFinite(x), where);
        }
        double error = error(where, truth, found);
        assertTrue(error <= bound, () -> where + ": error " + error + ", bound " + bound);
    }

    /**
     * Largest difference over largest magnitude, but for NaN in the truth: there PEFT's last weight became negative.
     */
    private static double error(String where, Tensor truth, Tensor found) {
        assertArrayEquals(truth.shape(), found.shape(), where);
        float[] t = truth.toFloats();
        float[] f = found.toFloats();
        double difference = 0;
        double magnitude = 0;
        for (int i = 0; i < t.length; i++) {
            if (!Float.isNaN(t[i])) {
                difference = Math.max(difference, Math.abs((double) f[i] - t[i]));
                magnitude = Math.max(magnitude, Math.abs(t[i]));
            }
        }
        return difference / magnitude;
    }

    private static void assertSameTensors(Path expectedFolder, Path foundFolder, float tolerance) {
        try (SafetensorsFile expected = SafetensorsFile.open(expectedFolder.resolve(PeftKeys.WEIGHTS_FILE));
                SafetensorsFile found = SafetensorsFile.open(foundFolder.resolve(PeftKeys.WEIGHTS_FILE))) {
            assertEquals(List.copyOf(expected.names()), List.copyOf(found.names()));
            assertEquals(expected.metadata(), found.metadata());
            for (String name : expected.names()) {
                assertEquals(expected.entry(name), found.entry(name), name);
                try (Tensor e = expected.read(name); Tensor f = found.read(name)) {
                    if (e.dtype().isNativeFloat()) {
                        assertArrayEquals(e.toFloats(), f.toFloats(), tolerance, name);
                    } else {
                        int bytes = (int) e.bytes();
                        assertEquals(e.buffer(0, bytes), f.buffer(0, bytes), name);
                    }
                }
            }
        }
    }

    private static void assertSameJson(Path expectedFolder, Path foundFolder, String... unordered) {
        ObjectNode expected = JsonFields.read(expectedFolder.resolve(AdapterConfig.FILE_NAME)).object();
        ObjectNode found = JsonFields.read(foundFolder.resolve(AdapterConfig.FILE_NAME)).object();
        for (String key : unordered) {
            assertEquals(expected.remove(key).size(), found.remove(key).size());
        }
        assertEquals(expected, found);
    }

    @Test
    void refusesToTrainOnASelection() {
        try (Adapter adapter = Adapter.load(Golden.own("storage/mlp_h10_k8_topk"), stream)) {
            assertFalse(adapter.trainable());
            InputException e = assertThrows(InputException.class,
                    () -> adapter.composition().enableTraining(stream));
            assertEquals("save_only_topk_weights", e.field());
            assertThrows(InputException.class, () -> adapter.save(temporary, false, stream));
        }
    }
}

package io.vblora.adapter;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.Golden;
import io.vblora.JsonFields;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.TestDevice;
import io.vblora.weights.SafetensorsFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Folders of LoRA adapters that PEFT wrote, with its deltas: tests/golden/lora/README.md says how they were made. */
@TestDevice.OnAny
class LoraStorageTest extends WithStream {
    private static final Path FOLDER = Golden.own("lora");
    /** The truth is rounded to float32 as well, and so is the scaling here. */
    private static final double ROUNDINGS = 2 * 0x1p-24;

    @TempDir
    private Path temporary;

    private static JsonFields index() {
        return JsonFields.read(FOLDER.resolve("index.json")).object("cases");
    }

    static List<String> cases() {
        return index().object().properties().stream().map(Map.Entry::getKey).toList();
    }

    @ParameterizedTest
    @MethodSource("cases")
    void readsAndWritesWhatPeftWrites(String name) throws IOException {
        Path peft = FOLDER.resolve(name);
        JsonFields about = index().object(name);
        double bound = about.number("delta_f32_vs_f64_relmax", 0, 1) + ROUNDINGS;
        try (Adapter adapter = Adapter.load(peft, stream);
                SafetensorsFile expected = SafetensorsFile.open(peft.resolve("expected.safetensors"))) {
            assertEquals(List.of(), adapter.notes());
            Map<String, Integer> ranks = new TreeMap<>();
            adapter.modules().forEach(module -> ranks.put(module.path(), module.r()));
            Map<String, Integer> peftRanks = new TreeMap<>();
            about.object("ranks").object().properties()
                    .forEach(rank -> peftRanks.put(rank.getKey(), rank.getValue().intValue()));
            assertEquals(peftRanks, ranks);
            for (AdaptedModule module : adapter.modules()) {
                try (Tensor delta = adapter.delta(module, stream); Tensor truth = expected.read(module.path())) {
                    assertArrayEquals(truth.shape(), delta.shape());
                    double error = error(truth.toFloats(), delta.toFloats());
                    assertTrue(error <= bound, () -> module.path() + ": error " + error + ", bound " + bound);
                }
            }
            adapter.save(temporary, false, stream);
        }
        for (String file : List.of(Adapter.WEIGHTS_FILE, AdapterConfig.FILE_NAME)) {
            assertArrayEquals(Files.readAllBytes(peft.resolve(file)),
                    Files.readAllBytes(temporary.resolve(file)), file);
        }
    }

    private static double error(float[] truth, float[] found) {
        double difference = 0;
        double magnitude = 0;
        for (int i = 0; i < truth.length; i++) {
            difference = Math.max(difference, Math.abs((double) found[i] - truth[i]));
            magnitude = Math.max(magnitude, Math.abs(truth[i]));
        }
        return difference / magnitude;
    }
}

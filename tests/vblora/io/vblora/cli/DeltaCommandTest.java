package io.vblora.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.Golden;
import io.vblora.kernels.DType;
import io.vblora.kernels.Tensor;
import io.vblora.weights.SafetensorsFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DeltaCommandTest {
    @TempDir
    Path folder;

    @Test
    void writesATensorForEachModuleByItsPath() throws IOException {
        Path file = Files.writeString(folder.resolve("delta.safetensors"), "to be replaced");
        Path adapter = Golden.own("traj/tinyrand_b16/adapter_init");
        CommandLineRun run = CommandLineRun.of("delta", "--adapter", adapter, "--output", file).assertDone();
        assertEquals("35 modules written to " + file + "\n", run.out());
        try (SafetensorsFile deltas = SafetensorsFile.open(file)) {
            assertEquals(35, deltas.names().size());
            assertEquals(List.of(64L, 176L), deltas.entry("model.layers.3.mlp.down_proj").shape());
            assertEquals(DType.FLOAT32, deltas.entry("model.layers.3.mlp.down_proj").dtype());
        }
        try (var files = Files.list(folder)) {
            assertEquals(List.of(file), files.toList());
        }
    }

    /** Expected: B A as PEFT's own code gives it in float64. */
    @ParameterizedTest
    @ValueSource(strings = {"llama_h90_k2_full", "llama_h90_k2_topk", "conv1d_h16_topk", "mlp_peaked_h10_k3_full"})
    void writesPeftsDeltas(String name) {
        Path adapter = Golden.shared("golden/storage/" + name);
        Path file = folder.resolve("delta.safetensors");
        CommandLineRun.of("delta", "--adapter", adapter, "--output", file).assertDone();
        try (SafetensorsFile deltas = SafetensorsFile.open(file);
                SafetensorsFile expected = SafetensorsFile.open(adapter.resolve("expected.safetensors"))) {
            assertEquals(expected.names().stream().filter(key -> key.endsWith(".delta_f64"))
                    .map(key -> key.replace(".delta_f64", "")).collect(Collectors.toSet()), deltas.names());
            for (String module : deltas.names()) {
                assertEquals(expected.entry(module + ".delta_f64").shape(), deltas.entry(module).shape());
                try (Tensor found = deltas.readFloat32(module);
                        Tensor truth = expected.readFloat32(module + ".delta_f64")) {
                    double largest = 0;
                    for (float value : truth.toFloats()) {
                        largest = Math.max(largest, Math.abs(value));
                    }
                    assertTrue(largest > 0);
                    // PyTorch's own float32 has an error of 1.9e-7 of the largest
                    assertArrayEquals(truth.toFloats(), found.toFloats(), (float) (2e-7 * largest), module);
                }
            }
        }
    }

    @Test
    void replacesNeitherItsAdapterNorTheBaseModel() throws IOException {
        Path adapter = Files.createDirectories(folder.resolve("adapter"));
        Path model = Files.createDirectories(folder.resolve("model"));
        Path golden = Golden.own("traj/tinyrand_b16/adapter_init");
        Path config = adapter.resolve("adapter_config.json");
        Files.writeString(config, Files.readString(golden.resolve("adapter_config.json"))
                .replaceFirst("\"base_model_name_or_path\": [^,]*", "\"base_model_name_or_path\": \"" + model + '"'));
        Files.copy(golden.resolve("adapter_model.safetensors"), adapter.resolve("adapter_model.safetensors"));
        Path weights = Files.writeString(model.resolve("model.safetensors"), "precious");
        Path link = Files.createSymbolicLink(folder.resolve("link"), adapter);
        for (Path output : List.of(config, adapter.resolve("adapter_model.safetensors"),
                link.resolve("adapter_model.safetensors"), link.resolve("task_config.json"), weights)) {
            byte[] before = Files.exists(output) ? Files.readAllBytes(output) : null;
            CommandLineRun.of("delta", "--adapter", adapter, "--output", output)
                    .assertError(2, "--output: found " + output + ", which is a file of the adapter"
                            + (output.equals(weights) ? "'s base model" : "") + "; expected another file.");
            assertArrayEquals(before, Files.exists(output) ? Files.readAllBytes(output) : null);
        }
        Path other = link.resolve("delta.safetensors");
        for (int i = 0; i < 2; i++) {
            CommandLineRun.of("delta", "--adapter", adapter, "--output", other).assertDone();
        }
    }

    @Test
    void refusesWhatItCannotReadOrWrite() {
        Path file = folder.resolve("delta.safetensors");
        CommandLineRun.of("delta", "--adapter", folder, "--output", file)
                .assertError(1, "--adapter: found " + folder + ", which has no adapter_config.json");
        assertFalse(Files.exists(file));
        Path nowhere = folder.resolve("no/such/folder/delta.safetensors");
        CommandLineRun.of("delta", "--adapter", Golden.own("traj/tinyrand_b16/adapter_init"), "--output", nowhere)
                .assertError(1, "--output: found " + nowhere + ", whose folder does not exist; expected a file in a");
        for (Path isFolder : new Path[] {Path.of("/"), folder}) {
            CommandLineRun.of("delta", "--adapter", Golden.own("traj/tinyrand_b16/adapter_init"), "--output", isFolder)
                    .assertError(1, "--output: found " + isFolder + ", which is a folder; expected a file");
        }
        CommandLineRun.of("delta", "--adapter", folder, "--output", "")
                .assertError(2, "--output: found an empty path");
    }
}

package io.vblora.weights;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.kernels.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class WeightSourceTest {
    private static final String ONE = "model-00001-of-00002.safetensors";
    private static final String TWO = "model-00002-of-00002.safetensors";

    @TempDir
    private Path folder;

    @BeforeEach
    void writeShards() {
        try (Tensor a = Tensor.of(new float[] {1, 2}, 2); Tensor b = Tensor.of(new float[] {3}, 1)) {
            new SafetensorsWriter().add("a", a).write(folder.resolve(ONE));
            new SafetensorsWriter().add("b", b).write(folder.resolve(TWO));
        }
    }

    private void writeIndex(String weightMap) throws IOException {
        Files.writeString(folder.resolve(ShardedWeights.INDEX), "{\"metadata\":{},\"weight_map\":" + weightMap + "}");
    }

    @Test
    void readsShardsAsOne() throws IOException {
        writeIndex("{\"a\":\"" + ONE + "\",\"b\":\"" + TWO + "\"}");
        try (WeightSource weights = WeightSource.open(folder); Tensor a = weights.read("a");
                Tensor b = weights.readFloat32("b");
                Tensor into = Tensor.of(new float[2], 2)) {
            assertEquals(Set.of("a", "b"), weights.names());
            assertArrayEquals(new float[] {1, 2}, a.toFloats());
            assertArrayEquals(new float[] {3}, b.toFloats());
            weights.readInto("a", into);
            assertArrayEquals(new float[] {1, 2}, into.toFloats());
            assertEquals(folder.resolve(TWO), weights.file("b"));
            assertThrows(InputException.class, () -> weights.read("c"));
        }
    }

    @Test
    void prefersTheSingleFile() throws IOException {
        writeIndex("{\"b\":\"" + TWO + "\"}");
        Files.copy(folder.resolve(ONE), folder.resolve("model.safetensors"));
        try (WeightSource weights = WeightSource.open(folder)) {
            assertEquals(Set.of("a"), weights.names());
        }
        try (WeightSource weights = WeightSource.open(folder.resolve(TWO))) {
            assertEquals(Set.of("b"), weights.names());
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', value = {
        "'{\"a\":\"../x/model.safetensors\"}'; weight_map.a",
        "'{\"a\":\"/etc/model.safetensors\"}'; weight_map.a",
        "'{\"a\":\"..\\\\model.safetensors\"}'; weight_map.a",
        "'{\"a\":\"weights.bin\"}'; weight_map.a",
        "'{\"a\":5}'; weight_map.a",
        "'{\"a\":\"" + TWO + "\"}'; weight_map.a",
        "'[]'; weight_map",
        "'null'; weight_map",
    })
    void refusesABrokenIndex(String weightMap, String field) throws IOException {
        writeIndex(weightMap);
        InputException e = assertThrows(InputException.class, () -> WeightSource.open(folder));
        assertEquals(folder.resolve(ShardedWeights.INDEX).toString(), e.source());
        assertEquals(field, e.field());
    }

    @Test
    void refusesDuplicateKeysAndMissingShards() throws IOException {
        writeIndex("{\"a\":\"" + ONE + "\",\"a\":\"" + ONE + "\"}");
        assertThrows(InputException.class, () -> WeightSource.open(folder));
        writeIndex("{\"a\":\"gone.safetensors\"}");
        InputException e = assertThrows(InputException.class, () -> WeightSource.open(folder));
        assertEquals(folder.resolve("gone.safetensors").toString(), e.source());
    }

    @Test
    void saysWhatItLookedFor() throws IOException {
        InputException none = assertThrows(InputException.class, () -> WeightSource.open(folder));
        assertTrue(none.expected().contains("model.safetensors"), none.getMessage());
        Files.createFile(folder.resolve("pytorch_model.bin"));
        InputException pickled = assertThrows(InputException.class, () -> WeightSource.open(folder));
        assertTrue(pickled.found().contains("pytorch_model.bin"), pickled.getMessage());
    }
}

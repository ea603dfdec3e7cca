package io.vblora.parameters;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Tensor;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ParameterLayoutTest {
    private static final ParameterLayout LAYOUT = ParameterLayout.builder().addFactors("a", "b", 2, 2, 3)
            .add("c", 1).addFactors("d", "e", 1, 2, 2).build();

    @Test
    void saysWhatABufferHoldsBeforeThereIsOne() {
        assertEquals(15, LAYOUT.elements());
        assertEquals(List.of("a", "b", "c", "d", "e"), LAYOUT.names());
        assertEquals(List.of(3L, 2L), LAYOUT.tensors().get(1).shape());
    }

    @Test
    void saysWhichTensorsAreFactorsOfAnUpdate() {
        List<ParameterLayout.Entry> tensors = LAYOUT.tensors();
        assertEquals(List.of(new ParameterLayout.Factors(tensors.get(0), tensors.get(1)),
                new ParameterLayout.Factors(tensors.get(3), tensors.get(4))), LAYOUT.factors());
        ParameterLayout slice = LAYOUT.slice(1, 5); // without a, the partner of b
        assertEquals(List.of(new ParameterLayout.Factors(slice.tensors().get(2), slice.tensors().get(3))),
                slice.factors());
        assertEquals(7, slice.tensors().get(2).first());
    }

    @Test
    void givesTensorsAsTheyAreStoredAndTakesThemBack() {
        try (Tensor buffer = Tensor.of(new float[] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, 15);
                Tensor other = Tensor.allocate(Device.CPU, DType.FLOAT32, 15);
                NamedTensors stored = LAYOUT.named(Device.CPU, buffer)) {
            assertArrayEquals(new float[] {5, 8, 6, 9, 7, 10}, stored.get("b").toFloats());
            assertArrayEquals(new long[] {3, 2}, stored.get("b").shape());
            assertArrayEquals(new float[] {11}, stored.get("c").toFloats());
            LAYOUT.check("test", stored.asMap());
            LAYOUT.copy(stored.asMap(), other);
            assertArrayEquals(buffer.toFloats(), other.toFloats());
        }
    }

    @Test
    void namesWhatDoesNotFit() {
        try (Tensor buffer = Tensor.allocate(Device.CPU, DType.FLOAT32, 15);
                NamedTensors stored = LAYOUT.named(Device.CPU, buffer)) {
            InputException missing = assertThrows(InputException.class, () -> LAYOUT.check("test",
                    Map.of("a", stored.get("a"), "c", stored.get("c"))));
            assertEquals("b", missing.field());
            InputException shape = assertThrows(InputException.class, () -> LAYOUT.check("test",
                    Map.of("a", stored.get("b"), "b", stored.get("b"), "c", stored.get("c"))));
            assertEquals("a", shape.field());
            buffer.setFloat(4 + 3, Float.NaN); // the first row of b's second column: its element 1
            InputException notFinite = assertThrows(InputException.class, () -> LAYOUT.requireFinite("test", buffer));
            assertEquals("b", notFinite.field());
            assertEquals("NaN at element 1", notFinite.found());
        }
    }
}

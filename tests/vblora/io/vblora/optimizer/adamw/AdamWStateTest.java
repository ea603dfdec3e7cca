package io.vblora.optimizer.adamw;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.StepState;
import io.vblora.parameters.NamedTensors;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class AdamWStateTest {
    /** Moments that cannot be closed without an error. */
    private record Failing(String name, List<String> closed) implements Moments {
        @Override
        public void update(Stream stream, StepState step) {}

        @Override
        public void addTo(Stream stream, NamedTensors expAvg, NamedTensors expAvgSq) {}

        @Override
        public void check(Map<String, Tensor> expAvg, Map<String, Tensor> expAvgSq) {}

        @Override
        public void load(Stream stream, Map<String, Tensor> expAvg, Map<String, Tensor> expAvgSq) {}

        @Override
        public void close() {
            closed.add(name);
            throw new IllegalStateException(name);
        }
    }

    @Test
    void closesAllMomentsAlsoAfterOneThatThrows() {
        List<String> closed = new ArrayList<>();
        AdamWState state = new AdamWState(List.of(), List.of(new Failing("a", closed), new Failing("b", closed)), null);
        IllegalStateException e = assertThrows(IllegalStateException.class, state::close);
        assertEquals("a", e.getMessage());
        assertEquals("b", e.getSuppressed()[0].getMessage());
        assertEquals(List.of("a", "b"), closed);
    }
}

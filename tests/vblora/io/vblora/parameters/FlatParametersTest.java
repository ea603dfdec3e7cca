package io.vblora.parameters;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.ops.Memory;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What a subclass can get wrong. */
class FlatParametersTest {
    private static final ParameterGroup FAST = new ParameterGroup("fast", "learning_rate_fast", 1, false);
    private static final ParameterGroup SLOW = new ParameterGroup("slow", "learning_rate_slow", 0.1, false);

    private static final class Plain extends FlatParameters {
        Plain(ParameterGroup... groups) {
            super(Device.CPU, "plain", ParameterLayout.builder().add("a", 2).add("b", 3).build());
            groups(List.of(groups));
        }

        @Override
        public void zeroGradient(Stream stream) {
            Memory.zero(stream, gradient());
        }
    }

    private static List<TrainedParameters> trained(ParameterGroup... groups) {
        try (Stream stream = Stream.cpu(1); Plain plain = new Plain(groups)) {
            plain.enableTraining(stream);
            return plain.trained(stream);
        }
    }

    @Test
    void eachTensorIsTrainedInItsGroup() {
        assertEquals(List.of(FAST, SLOW), trained(FAST, SLOW).stream().map(TrainedParameters::group).toList());
        assertEquals(List.of(List.of("a", "b")), trained(FAST, FAST).stream().map(p -> p.layout().names()).toList());
    }

    /** They would not be trained, and nobody would notice. */
    @Test
    void tensorsWithoutAGroupAreRefused() {
        assertEquals("0 groups are set, for 2 tensors",
                assertThrows(IllegalStateException.class, () -> trained()).getMessage());
        assertEquals("1 groups are set, for 2 tensors",
                assertThrows(IllegalStateException.class, () -> trained(FAST)).getMessage());
    }
}

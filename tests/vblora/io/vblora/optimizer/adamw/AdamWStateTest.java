package io.vblora.optimizer.adamw;

import static io.vblora.kernels.global.vblora.vbl_allocated_bytes;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.vblora.adapter.Adapter;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.WithStream;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.AdamWGroups;
import io.vblora.kernels.ops.StepState;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.ParameterGroup;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class AdamWStateTest extends WithStream {
    /** Moments that cannot be closed without an error. */
    private record Failing(String name, List<String> closed) implements Moments {
        @Override
        public void update(Stream stream, StepState step, AdamWGroups groups) {}

        @Override
        public void addTo(Stream stream, NamedTensors expAvg, NamedTensors expAvgSq) {}

        @Override
        public void check(Map<String, Tensor> expAvg, Map<String, Tensor> expAvgSq) {}

        @Override
        public void load(Stream stream, Map<String, Tensor> expAvg, Map<String, Tensor> expAvgSq) {}

        @Override
        public boolean allocatesToLoad() {
            return false;
        }

        @Override
        public void close() {
            closed.add(name);
            throw new IllegalStateException(name);
        }
    }

    @Test
    void closesAllMomentsAlsoAfterOneThatThrows() {
        List<String> closed = new ArrayList<>();
        long before = vbl_allocated_bytes();
        AdamWState state = new AdamWState(stream.device(), List.of(ParameterGroup.MATRICES),
                new AdamW(0.9, 0.999, 1e-8, 0));
        state.add(new Failing("a", closed));
        state.add(new Failing("b", closed));
        IllegalStateException e = assertThrows(IllegalStateException.class, state::close);
        assertEquals("a", e.getMessage());
        assertEquals("b", e.getSuppressed()[0].getMessage());
        assertEquals(List.of("a", "b"), closed);
        assertEquals(before, vbl_allocated_bytes());
    }

    /** Logits that cannot be read stand for memory that an active set lacks: the bank comes before them in the list. */
    @Test
    void setsNoMomentsWhereAnActiveSetCannotBeLoaded() {
        VbLoraConfig config = VbLoraConfig.builder().targetModules("all-linear").r(2).numVectors(12).vectorLength(4)
                .build();
        try (Adapter adapter = Adapter.create(config, List.of(new ModuleShape("a", 8, 12)), stream, 3);
                AdamWRun run = AdamWRun.growing(stream, adapter.composition())) {
            adapter.composition().packedGradient().copyFrom(ones(adapter.composition().packedGradient().elements()));
            run.step(1, ParameterGroup::defaultLearningRate);
            try (AdamWRun.Copies before = run.moments(); AdamWRun.Copies next = run.moments()) {
                next.expAvg().asMap().values().forEach(tensor -> tensor.copyFrom(ones(tensor.elements())));
                next.expAvg().asMap().forEach((name, tensor) -> {
                    if (name.contains("logits")) {
                        tensor.close();
                    }
                });
                assertThrows(IllegalStateException.class,
                        () -> run.load(next.expAvg().asMap(), next.expAvgSq().asMap()));
                try (AdamWRun.Copies after = run.moments()) {
                    assertSameBits(before.numbers(), after.numbers(), "moments");
                }
            }
        }
    }

    private static float[] ones(long n) {
        float[] ones = new float[(int) n];
        Arrays.fill(ones, 1);
        return ones;
    }
}

package io.vblora.optimizer.adamw;

import static io.vblora.kernels.global.vblora.vbl_allocated_bytes;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.adapter.Adapter;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.WithStream;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.kernels.ops.ActiveSet;
import io.vblora.optimizer.OptimizerState;
import io.vblora.parameters.SelectedLogits;
import java.util.List;
import org.junit.jupiter.api.Test;

class ActiveMomentsTest extends WithStream {
    private static final int CAPACITY = 5;

    /** What would fail for want of memory has then failed before anything is overwritten. */
    @Test
    void hasAllMemoryBeforeOtherLogitsAreWritten() {
        VbLoraConfig config = VbLoraConfig.builder().targetModules("all-linear").r(2).numVectors(12).vectorLength(4)
                .build();
        try (Adapter adapter = Adapter.create(config, List.of(new ModuleShape("a", 8, 12)), stream, 3)) {
            adapter.composition().enableTraining(stream);
            SelectedLogits logits = (SelectedLogits) adapter.composition().trained(stream).get(1);
            AdamW adamW = new AdamW(0.9, 0.999, 1e-8, 0, 1, CAPACITY);
            try (OptimizerState state = adamW.attach(stream, List.of(adapter.composition()));
                    ActiveSet active = new ActiveSet(stream.device(), logits.shape(), CAPACITY, 16)) {
                long before = vbl_allocated_bytes();
                long[] whileWriting = new long[1];
                logits.rewrite(stream, () -> {
                    whileWriting[0] = vbl_allocated_bytes();
                    logits.values().setFloat(0, 7);
                });
                long needed = 2 * logits.values().bytes() + active.bytes();
                assertTrue(whileWriting[0] - before >= needed, (whileWriting[0] - before) + " bytes, needed " + needed);
                assertEquals(before, vbl_allocated_bytes());
                float[] written = logits.values().toFloats();
                assertEquals(7, written[0]);
                logits.store(stream);
                assertArrayEquals(written, logits.values().toFloats());
            }
        }
    }
}

package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.Golden;
import io.vblora.InputException;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.blas.Blas;
import io.vblora.kernels.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** What a model refuses, and how adapters come and go; its numbers are checked elsewhere. */
class LlamaModelTest {
    private final Stream stream = Stream.cpu(2);
    private final Execution execution = new Execution(stream, Blas.on(stream.device()));
    private final LlamaModel model = LlamaModel.load(Golden.own("models/tinyrand"), null, stream);
    private final TokenBatch batch = TokenBatch.of(new int[] {1, 2, 3}, new int[] {4, 5, 6});

    @AfterEach
    void close() {
        execution.close();
        model.close();
        stream.close();
    }

    @Test
    void refusesBatchesThatDoNotFit() {
        assertMessage("found 2", () -> model.lossSum(execution, batch, new int[] {1, 2}));
        TokenBatch unknown = TokenBatch.of(new int[] {1, 2, 512});
        assertRefused("input_ids", "512", () -> model.logits(execution, unknown));
        assertRefused("input_ids", "-1", () -> model.logits(execution, TokenBatch.of(new int[] {-1})));
        for (int label : new int[] {512, -1, -101}) {
            assertRefused("labels", Integer.toString(label), () -> model.lossSum(execution, TokenBatch.of(
                    new int[] {1, 2}), new int[] {-100, label}));
        }
        assertThrows(InputException.class, () -> model.logits(execution, TokenBatch.of(new int[513])));
        assertThrows(IllegalStateException.class, () -> OnePass.loss(stream, 1,
                training -> model.addGradients(execution, batch, batch.inputIds(), training)));
    }

    private static void assertRefused(String field, String found, Executable call) {
        InputException refused = assertThrows(InputException.class, call);
        assertEquals(field, refused.field());
        assertEquals(found, refused.found());
    }

    @Test
    void anAdapterChangesTheLogitsWhileItIsAttached() {
        VbLoraConfig config = VbLoraConfig.builder().targetModules("all-linear").numVectors(32).vectorLength(16)
                .initVectorBankBound(1).build();
        float[] base = model.logits(execution, batch);
        try (Adapter adapter = Adapter.create(config, model.linears(), stream, 1)) {
            model.attach(adapter);
            float[] adapted = model.logits(execution, batch);
            assertTrue(Math.abs(adapted[0] - base[0]) > 1e-6);
            model.detach();
            assertArrayEquals(base, model.logits(execution, batch));
            model.attach(adapter);
        }
        // The adapter is closed but still attached: an error, not whatever its memory holds by now.
        String message = assertThrows(IllegalStateException.class, () -> model.logits(execution, batch))
                .getMessage();
        assertTrue(message.startsWith("The tensor is closed"), message);
    }

    private static void assertMessage(String part, Executable call) {
        String message = assertThrows(IllegalArgumentException.class, call).getMessage();
        assertTrue(message.contains(part), message);
    }
}

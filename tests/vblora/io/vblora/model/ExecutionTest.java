package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import io.vblora.adapter.Adapter;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.blas.Blas;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Activation;
import io.vblora.model.config.Pooling;
import java.io.IOException;
import java.lang.ref.WeakReference;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Memory is planned anew for whatever takes more of it. */
class ExecutionTest {
    private static final TokenBatch BATCH = TokenBatch.of(new int[] {1, 2, 3}, new int[] {4, 1});

    @TempDir
    Path folder;

    private final Stream stream = Stream.cpu(2);
    private final Execution execution = new Execution(stream, Blas.on(stream.device()));

    @AfterEach
    void close() {
        execution.close();
        stream.close();
    }

    private float[] logits(LlamaModel model, Execution on) {
        return model.logits(on, BATCH);
    }

    @Test
    void modelsOfAllSizesShareOne() throws IOException {
        for (int seed = 1; seed <= 10; seed++) {
            Path model = folder.resolve("model" + seed);
            TinyLlama.write(model, new Random(seed), 4);
            try (LlamaModel llama = LlamaModel.load(model, null, stream);
                    Execution own = new Execution(stream, execution.blas())) {
                assertArrayEquals(logits(llama, own), logits(llama, execution), "seed " + seed);
            }
        }
    }

    /** What a pass is for is said by the one who runs it: one without dropout may train without a step. */
    @Test
    void aPassIsToldWhetherItTrains() {
        Updates none = new Updates(new Object(), List.of());
        Inputs inputs = new Inputs();
        inputs.scalar(1);
        PassShape shape = new PassShape("test", new Bucket(1, 1, 1), List.of(), none.layout());
        List<Boolean> training = new ArrayList<>();
        execution.train(shape, none, inputs, null, pass -> training.add(pass.isTraining()));
        execution.evaluate(shape, none, inputs, pass -> {
            training.add(pass.isTraining());
            return pass.inputs().get(0);
        }, Tensor::toFloats);
        assertEquals(List.of(true, true, false), training); // the first one is planned
    }

    private static Adapter adapter(SequenceModel model, Stream stream) {
        return Adapter.create(LoraConfig.builder().targetModules("all-linear")
                .modulesToSave(List.of("classifier")).build(), model.linears(), model.parameters(), 0.5, stream, 1);
    }

    private SequenceModel bert() throws IOException {
        TinyBert.write(folder, new Random(4), 4, Activation.GELU);
        return SequenceModel.load(folder, new SequenceConfig(ProblemType.SINGLE_LABEL_CLASSIFICATION, Pooling.POOLER,
                List.of("a", "b", "c"), 16), null, stream);
    }

    @Test
    void holdsOnToNoAdapter() throws Exception {
        try (SequenceModel model = bert()) {
            WeakReference<Adapter> adapter = new WeakReference<>(adapter(model, stream));
            model.attach(adapter.get());
            model.logits(execution, BATCH);
            model.detach();
            adapter.get().close();
            for (int i = 0; i < 100 && adapter.get() != null; i++) {
                System.gc();
                Thread.sleep(20);
            }
            assertNull(adapter.get());
        }
    }
}

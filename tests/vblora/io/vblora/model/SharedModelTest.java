package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.blas.Blas;
import io.vblora.data.CausalLmExample;
import io.vblora.data.SequenceExample;
import io.vblora.kernels.Arena;
import io.vblora.kernels.Device;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Stream;
import io.vblora.kernels.ops.Activation;
import io.vblora.model.config.Pooling;
import io.vblora.parameters.Trainable;
import io.vblora.train.CausalLmObjective;
import io.vblora.train.SequenceObjective;
import io.vblora.train.Trainer;
import io.vblora.train.TrainingArguments;
import io.vblora.train.TrainingListener;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Several threads on one set of weights: what they may do at the same time gives the bits of one thread alone. */
class SharedModelTest {
    private static final int THREADS = 4;
    private static final int CALLS = 40;
    private static final String OWN_EXECUTION = "The execution is in use by another thread: one thread at a time runs "
            + "a pass on it, so each needs an execution and a stream of its own";

    @TempDir
    Path folder;

    private final ExecutorService threads = Executors.newFixedThreadPool(THREADS);
    private final Stream stream = Stream.cpu(2);
    private final Blas blas = Blas.on(Device.CPU);
    private final Execution execution = new Execution(stream, blas);

    @AfterEach
    void close() {
        threads.shutdownNow();
        execution.close();
        stream.close();
    }

    /** A call of a model, and its numbers when nothing else runs. */
    private record Call(Function<Execution, float[]> numbers, float[] alone) {
        static Call of(Execution alone, Function<Execution, float[]> numbers) {
            return new Call(numbers, numbers.apply(alone));
        }
    }

    /** Runs something at the same time in all threads; throws what the first of them that fails throws. */
    private void inAllThreads(Callable<?> work) throws Exception {
        CyclicBarrier begin = new CyclicBarrier(THREADS);
        List<Future<?>> all = new ArrayList<>();
        for (int thread = 0; thread < THREADS; thread++) {
            all.add(threads.submit(() -> {
                begin.await();
                return work.call();
            }));
        }
        for (Future<?> one : all) {
            one.get();
        }
    }

    /** Every thread makes all calls, in an order of its own, with its own execution and stream. */
    private void assertSameBits(List<Call> calls) throws Exception {
        AtomicInteger seed = new AtomicInteger();
        inAllThreads(() -> {
            List<Call> shuffled = new ArrayList<>(calls);
            int order = seed.incrementAndGet();
            Collections.shuffle(shuffled, new Random(order));
            try (Stream own = Stream.cpu(1 + order % 2); Execution run = new Execution(own, blas)) {
                for (Call call : shuffled) {
                    assertArrayEquals(call.alone, call.numbers.apply(run), "order " + order);
                }
            }
            return null;
        });
    }

    private SequenceModel bert() throws Exception {
        TinyBert.write(folder, new Random(4), 4, Activation.GELU);
        return SequenceModel.load(folder, new SequenceConfig(ProblemType.SINGLE_LABEL_CLASSIFICATION, Pooling.POOLER,
                List.of("a", "b", "c"), 16), null, stream);
    }

    private LlamaModel llama() throws Exception {
        TinyLlama.write(folder, new Random(4), 4);
        return LlamaModel.load(folder, null, stream);
    }

    private static AdapterConfig config(boolean vbLora, List<String> modulesToSave) {
        return vbLora ? VbLoraConfig.builder().targetModules("all-linear").numVectors(12).vectorLength(4).r(2)
                .initVectorBankBound(1).modulesToSave(modulesToSave).build()
                : LoraConfig.builder().targetModules("all-linear").r(2).modulesToSave(modulesToSave).build();
    }

    private Adapter adapter(SequenceModel model, boolean vbLora) {
        return Adapter.create(config(vbLora, List.of("classifier")), model.linears(), model.parameters(), 0.5, stream,
                1);
    }

    /** Rows of as many shapes as there are calls. */
    private static List<TokenBatch> rows(int vocab) {
        Random random = new Random(7);
        List<TokenBatch> all = new ArrayList<>();
        for (int call = 0; call < CALLS; call++) {
            int size = 1 + random.nextInt(4);
            int length = 1 + random.nextInt(16);
            all.add(PaddedRows.batch(length, random.ints(size * length, 0, vocab).toArray(), null,
                    random.ints(size, 1, length + 1).toArray()));
        }
        return all;
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void anEncodersNumbersDoNotDependOnOtherThreads(boolean vbLora) throws Exception {
        try (SequenceModel model = bert(); Adapter adapter = adapter(model, vbLora)) {
            model.attach(adapter);
            List<Call> calls = new ArrayList<>();
            for (TokenBatch rows : rows(model.encoder().config().embeddings().vocabSize())) {
                calls.add(Call.of(execution, run -> model.features(run, rows)));
                calls.add(Call.of(execution, run -> model.logits(run, rows)));
                calls.add(Call.of(execution, run -> model.encoder().lastHiddenState(run, rows)));
                calls.add(Call.of(execution, run -> model.encoder().embeddings(run, rows, Pooling.MEAN, true)));
            }
            assertSameBits(calls);
        }
    }

    /** The rotary tables, made for one token before the threads begin, grow on their way. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aDecodersNumbersDoNotDependOnOtherThreads(boolean vbLora) throws Exception {
        List<Call> calls = new ArrayList<>();
        try (LlamaModel model = llama();
                Adapter adapter = Adapter.create(config(vbLora, List.of()), model.linears(), stream, 1)) {
            for (LlamaModel alone : List.of(model, LlamaModel.load(folder, null, stream))) {
                alone.attach(adapter);
                if (alone != model) {
                    for (TokenBatch rows : rows(model.config().vocabSize())) {
                        calls.add(new Call(run -> model.logits(run, rows), alone.logits(execution, rows)));
                        calls.add(new Call(run -> loss(model, run, rows), loss(alone, execution, rows)));
                    }
                    alone.close();
                }
            }
            assertSameBits(calls);
        }
    }

    private static float[] loss(LlamaModel model, Execution run, TokenBatch rows) {
        return new float[] {(float) model.lossSum(run, rows, rows.inputIds())};
    }

    /** The features that the objective keeps are computed by whoever needs them first. */
    @Test
    void threadsShareAnObjectiveThatKeepsFeatures() throws Exception {
        try (SequenceModel model = bert();
                Adapter head = Adapter.create(LoraConfig.builder().targetModules("dummy-target-modules")
                        .modulesToSave(List.of("classifier")).build(), model.linears(), model.parameters(), 0.5,
                        stream, 1)) {
            model.attach(head);
            Random random = new Random(3);
            List<SequenceExample> examples = new ArrayList<>();
            for (int i = 0; i < CALLS; i++) {
                int vocabulary = model.encoder().config().embeddings().vocabSize();
                int[] ids = random.ints(1 + random.nextInt(16), 0, vocabulary).toArray();
                examples.add(new SequenceExample(ids, new int[ids.length], Float.NaN));
            }
            float[] alone = new SequenceObjective(model).logits(execution, examples, 1, n -> {});
            SequenceObjective shared = new SequenceObjective(model);
            Call call = new Call(run -> shared.logits(run, examples, 1, n -> {}), alone);
            assertSameBits(List.of(call, call));
        }
    }

    @Test
    void oneExecutionServesOneThread() throws Exception {
        try (SequenceModel model = bert()) {
            List<TokenBatch> rows = rows(model.encoder().config().embeddings().vocabSize());
            List<float[]> alone = rows.stream().map(r -> model.features(execution, r)).toList();
            AtomicInteger done = new AtomicInteger();
            inAllThreads(() -> {
                for (int i = 0; i < CALLS; i++) {
                    try {
                        assertArrayEquals(alone.get(i), model.features(execution, rows.get(i)));
                        done.incrementAndGet();
                    } catch (IllegalStateException e) {
                        assertEquals(OWN_EXECUTION, e.getMessage());
                    }
                }
                return null;
            });
            assertTrue(done.get() > 0);
            assertArrayEquals(alone.get(0), model.features(execution, rows.get(0)));
        }
    }

    /** Matrix products of which the first one waits, once it was told to, until it may go on. */
    private final class WaitingBlas implements Blas {
        private final CountDownLatch waits = new CountDownLatch(1);
        private final CountDownLatch end = new CountDownLatch(1);

        @Override
        public void gemm(Stream on, Arena arena, boolean transA, boolean transB, Matrix a, Matrix b,
                float beta, Matrix c, Matrix d) {
            if (!on.isPlanning() && waits.getCount() > 0) {
                waits.countDown();
                try {
                    end.await();
                } catch (InterruptedException e) {
                    throw new IllegalStateException(e);
                }
            }
            blas.gemm(on, arena, transA, transB, a, b, beta, c, d);
        }
    }

    private static void assertInUse(String beginning, Executable call) {
        String message = assertThrows(IllegalStateException.class, call).getMessage();
        assertTrue(message.startsWith(beginning + " is in use by another thread: "), message);
    }

    @Test
    void whatAPassReadsIsNeitherChangedNorClosedMeanwhile() throws Exception {
        WaitingBlas waiting = new WaitingBlas();
        TokenBatch rows = TokenBatch.of(new int[] {1, 2});
        try (SequenceModel model = bert(); Adapter adapter = adapter(model, false);
                Adapter other = adapter(model, true);
                Stream own = Stream.cpu(1); Execution slow = new Execution(own, waiting)) {
            model.attach(adapter);
            float[] alone = model.logits(execution, rows);
            Future<float[]> pass = threads.submit(() -> model.logits(slow, rows));
            waiting.waits.await();
            for (Executable change : new Executable[] {() -> model.attach(other), () -> model.detach(),
                model::close, model.encoder()::close}) {
                assertInUse("The model", change);
            }
            assertInUse("The adapter", adapter::close);
            assertInUse("The adapter", () -> OnePass.loss(stream, 1,
                    training -> model.addGradients(execution, rows, new float[1], training)));
            assertInUse("The execution", slow::close);
            assertInUse("The execution", () -> model.logits(slow, rows));
            assertArrayEquals(alone, model.logits(execution, rows));
            waiting.end.countDown();
            assertArrayEquals(alone, pass.get());
            model.attach(other);
            slow.close();
            assertEquals("The execution is closed", assertThrows(IllegalStateException.class,
                    () -> model.logits(slow, rows)).getMessage());
        }
    }

    @Test
    void anAdapterIsTrainedByOneThreadWhileNobodyElseUsesIt() throws Exception {
        List<CausalLmExample> examples = List.of(CausalLmExample.of(1, 2, 3, 4), CausalLmExample.of(3, 1, 2));
        TrainingArguments arguments = TrainingArguments.builder().maxSteps(3).warmupSteps(0).build();
        TokenBatch batch = TokenBatch.of(new int[] {1, 2});
        try (LlamaModel model = llama(); LlamaModel second = LlamaModel.load(folder, null, stream);
                Adapter undisturbed = Adapter.create(config(true, List.of()), model.linears(), stream, 1);
                Adapter adapter = Adapter.create(config(true, List.of()), model.linears(), stream, 1)) {
            model.attach(undisturbed);
            new Trainer<>(new CausalLmObjective(model), execution, arguments, List.of()).train(examples, List.of());
            model.attach(adapter);
            second.attach(adapter);
            CountDownLatch stepped = new CountDownLatch(1);
            CountDownLatch end = new CountDownLatch(1);
            Future<?> training = threads.submit(() -> {
                try (Stream own = Stream.cpu(1); Execution run = new Execution(own, blas)) {
                    return new Trainer<>(new CausalLmObjective(model), run, arguments, List.of(new TrainingListener() {
                        @Override
                        public void onStep(Step step) {
                            stepped.countDown();
                            try {
                                end.await();
                            } catch (InterruptedException e) {
                                throw new IllegalStateException(e);
                            }
                        }
                    })).train(examples, List.of());
                }
            });
            stepped.await();
            for (Executable use : new Executable[] {
                () -> new Trainer<>(new CausalLmObjective(second), execution, arguments, List.of()).train(examples,
                        List.of()),
                () -> model.logits(execution, batch),
                () -> second.logits(execution, batch),
                () -> OnePass.loss(stream, 1,
                        pass -> second.addGradients(execution, batch, batch.inputIds(), pass)),
                () -> model.detach(), () -> adapter.save(folder.resolve("adapter"), false, stream),
                () -> adapter.delta(stream), adapter::close}) {
                assertInUse("The adapter", use);
            }
            end.countDown();
            training.get();
            for (int i = 0; i < undisturbed.trainables().size(); i++) {
                Trainable expected = undisturbed.trainables().get(i);
                Trainable found = adapter.trainables().get(i);
                try (var one = expected.parameters(stream); var two = found.parameters(stream)) {
                    one.asMap().forEach((name, tensor) -> assertArrayEquals(tensor.toFloats(),
                            two.asMap().get(name).toFloats(), name));
                }
            }
            assertEquals(2 * model.config().vocabSize(), model.logits(execution, batch).length);
        }
    }
}

package io.vblora.adapter;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.TestDevice;
import io.vblora.kernels.ops.StepState;
import io.vblora.optimizer.Optimizer;
import io.vblora.optimizer.OptimizerState;
import io.vblora.optimizer.adamw.AdamW;
import io.vblora.optimizer.adamw.AdamWRun;
import io.vblora.optimizer.toy.ToySgd;
import io.vblora.parameters.FloatTensors;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.SelectedLogits;
import io.vblora.parameters.Trainable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Parameters and moments taken from an adapter in training and given back: the same bits, for every method. */
@TestDevice.OnAny
class RestoreTest extends WithStream {
    private static final List<ModuleShape> LINEARS = List.of(new ModuleShape("a", 8, 12), new ModuleShape("b", 16, 4));
    private static final List<ModuleShape> HEADS = List.of(new ModuleShape("classifier", 8, 3));

    @TempDir
    private Path folder;

    /** A way of keeping state: VB-LoRA's dense logits or active sets, LoRA; each with a head. */
    private record Way(String name, AdapterConfig config, double weightDecay) {}

    /** Banks of so many vectors are updated by active sets. */
    private static final int LARGE_BANK = AdamW.ACTIVE_SET_NUM_VECTORS;

    private static VbLoraConfig vbLora(int numVectors) {
        return VbLoraConfig.builder().targetModules(List.of("a", "b")).modulesToSave(List.of("classifier")).r(3)
                .vectorLength(4).numVectors(numVectors).topk(2).initVectorBankBound(1).build();
    }

    private static final List<Way> WAYS = List.of(
            new Way("active sets", vbLora(LARGE_BANK), 0),
            new Way("dense logits by weight decay", vbLora(LARGE_BANK), 0.01),
            new Way("dense logits of a small bank", vbLora(9), 0),
            new Way("LoRA", LoraConfig.builder().targetModules(List.of("a", "b"))
                    .modulesToSave(List.of("classifier")).r(2).build(), 0),
            new Way("head alone", LoraConfig.builder().targetModules(ModuleSelector.DUMMY_TARGET_MODULES)
                    .modulesToSave(List.of("classifier")).build(), 0));

    private Adapter create(Way way) {
        return Adapter.create(way.config, LINEARS, ModelParameters.ofHeads(HEADS), 0.02, stream, 5);
    }

    /** One step on gradients drawn from the step's number. */
    private void step(Adapter adapter, AdamWRun adamW, long number) {
        Random random = new Random(number);
        for (Trainable trainable : adapter.trainables()) {
            trainable.zeroGradient(stream);
            Tensor gradient = trainable instanceof Composition composition ? composition.packedGradient()
                    : adapter.wholeParameters().gradient();
            FloatTensors.fill(gradient, random::nextGaussian);
        }
        adamW.step(number, group -> 0.05);
    }

    /** Parameters, moments and composed matrices of all trainables. */
    private Map<String, float[]> state(Adapter adapter, AdamWRun adamW) {
        Map<String, float[]> state = new LinkedHashMap<>();
        for (Trainable trainable : adapter.trainables()) {
            numbers(trainable.parameters(stream)).forEach((name, v) -> state.put(name, v));
        }
        try (AdamWRun.Copies moments = adamW.moments()) {
            state.putAll(moments.numbers());
        }
        state.put("packed", adapter.composition().packed().toFloats());
        return state;
    }

    @Test
    void aRunGoesOnFromWhatWasTakenBitForBit() {
        for (Way way : WAYS) {
            try (Adapter adapter = create(way);
                    Adapter fresh = Adapter.create(way.config, LINEARS, ModelParameters.ofHeads(HEADS), 0.02, stream,
                            6);
                    AdamWRun run = AdamWRun.of(stream, way.weightDecay, adapter.trainables());
                    AdamWRun freshRun = AdamWRun.of(stream, way.weightDecay, fresh.trainables())) {
                for (long number = 1; number <= 10; number++) {
                    step(adapter, run, number);
                }
                Map<String, float[]> taken = state(adapter, run);
                List<NamedTensors> kept = adapter.trainables().stream().map(t -> t.parameters(stream).copy()).toList();
                AdamWRun.Copies moments = run.moments();
                for (long number = 11; number <= 20; number++) {
                    step(adapter, run, number);
                }
                Map<String, float[]> end = state(adapter, run);
                // Into the same adapter, whose active sets now hold other entries, and into a new one.
                for (Adapter target : List.of(adapter, fresh)) {
                    List<Trainable> trainables = target.trainables();
                    AdamWRun its = target == fresh ? freshRun : run;
                    for (int i = 0; i < trainables.size(); i++) {
                        trainables.get(i).loadParameters(stream, kept.get(i).asMap());
                    }
                    its.load(moments.expAvg().asMap(), moments.expAvgSq().asMap());
                    assertSameBits(taken, state(target, its), way.name + " given back");
                    for (long number = 11; number <= 20; number++) {
                        step(target, its, number);
                    }
                    assertSameBits(end, state(target, its), way.name + " trained on");
                }
                kept.forEach(NamedTensors::close);
                moments.close();
            }
        }
    }

    /** One step of a state that was attached to a composition alone, on gradients drawn from the step's number. */
    private void step(Composition composition, OptimizerState optimizer, long number) {
        try (StepState step = new StepState(stream.device())) {
            optimizer.prepare(stream, number, group -> 0.05);
            composition.zeroGradient(stream);
            FloatTensors.fill(composition.packedGradient(), new Random(number)::nextGaussian);
            composition.backward(stream);
            optimizer.update(stream, step.step(number).upload(stream));
            composition.refresh(stream);
            optimizer.updated(stream);
            composition.updated();
            stream.synchronize();
        }
    }

    /** A second optimizer goes on from what the first, which has the present logits, has learnt; and keeps its own. */
    @Test
    void aSecondOptimizerTakesTheLogitsFromTheFirst() {
        Way way = WAYS.get(0);
        List<Optimizer> seconds = new ArrayList<>(List.of(new AdamW(0.9, 0.999, 1e-8, 0),
                new AdamW(0.9, 0.999, 1e-8, 0.01)));
        if (stream.device().isCpu()) {
            seconds.add(new ToySgd());
        }
        for (Optimizer second : seconds) {
            try (Adapter adapter = create(way); Adapter fresh = create(way)) {
                Composition composition = adapter.composition();
                composition.enableTraining(stream);
                OptimizerState first = new AdamW(0.9, 0.999, 1e-8, 0).attach(stream, List.of(composition));
                for (long number = 1; number <= 5; number++) {
                    step(composition, first, number);
                }
                fresh.composition().loadParameters(stream, composition.parameters(stream).asMap());
                fresh.composition().enableTraining(stream);
                try (OptimizerState its = second.attach(stream, List.of(composition));
                        OptimizerState expected = second.attach(stream, List.of(fresh.composition()))) {
                    assertSameBits(numbers(fresh.composition().parameters(stream)),
                            numbers(composition.parameters(stream)), "attached");
                    step(composition, its, 1);
                    step(fresh.composition(), expected, 1);
                    first.close();
                    assertSameBits(numbers(fresh.composition().parameters(stream)),
                            numbers(composition.parameters(stream)), "trained on");
                }
                assertSameBits(numbers(fresh.composition().parameters(stream)),
                        numbers(composition.parameters(stream)), "closed");
            }
        }
    }

    /** An optimizer that has not the memory to go on from other logits. */
    private static final SelectedLogits.Keeper FAILING = new SelectedLogits.Keeper() {
        @Override
        public void store(Stream stream) {
            throw new IllegalStateException("no store");
        }

        @Override
        public void rewrite(Stream stream, Runnable write) {
            throw new IllegalStateException("no memory");
        }
    };

    @Test
    void anOptimizerThatCannotGoOnFromOtherLogitsLeavesAllAsItWas() {
        try (Adapter adapter = create(WAYS.get(0)); Adapter fresh = create(WAYS.get(0));
                NamedTensors others = fresh.composition().parameters(stream).copy()) {
            others.asMap().values().forEach(tensor -> tensor.setFloat(0, 7));
            Composition composition = adapter.composition();
            composition.enableTraining(stream);
            SelectedLogits logits = (SelectedLogits) composition.trained(stream).get(1);
            logits.keptBy(FAILING);
            assertThrows(IllegalStateException.class, () -> composition.loadParameters(stream, others.asMap()));
            logits.keptBy(null);
            assertSameBits(numbers(fresh.composition().parameters(stream)), numbers(composition.parameters(stream)),
                    "not loaded");
        }
    }

    @Test
    void logitsThatCannotBeTakenBackAreNoLongerKept() {
        try (Adapter adapter = create(WAYS.get(0))) {
            adapter.composition().enableTraining(stream);
            SelectedLogits logits = (SelectedLogits) adapter.composition().trained(stream).get(1);
            logits.keptBy(FAILING);
            assertThrows(IllegalStateException.class, () -> logits.takeBack(stream));
            assertFalse(logits.isKeptBy(FAILING));
        }
    }

    /** The best parameters restored at the end of a run: the adapter is then that of the step they are from. */
    @Test
    void parametersAloneComeBackAndMomentsStay() {
        for (Way way : WAYS) {
            try (Adapter adapter = create(way);
                    AdamWRun run = AdamWRun.of(stream, way.weightDecay, adapter.trainables())) {
                step(adapter, run, 1);
                Map<String, float[]> best = state(adapter, run);
                List<NamedTensors> kept = adapter.trainables().stream().map(t -> t.parameters(stream).copy()).toList();
                adapter.save(folder, false, stream);
                for (long number = 2; number <= 8; number++) {
                    step(adapter, run, number);
                }
                Map<String, float[]> last = state(adapter, run);
                List<Trainable> trainables = adapter.trainables();
                for (int i = 0; i < trainables.size(); i++) {
                    long version = trainables.get(i).version();
                    trainables.get(i).loadParameters(stream, kept.get(i).asMap());
                    assertTrue(trainables.get(i).version() > version, way.name);
                    trainables.get(i).verify(stream);
                }
                kept.forEach(NamedTensors::close);
                Map<String, float[]> expected = new LinkedHashMap<>(last);
                best.forEach((name, values) -> {
                    if (!name.startsWith("m ") && !name.startsWith("v ")) {
                        expected.put(name, values);
                    }
                });
                assertSameBits(expected, state(adapter, run), way.name);
                try (Adapter saved = Adapter.load(folder, stream)) {
                    assertArrayEquals(saved.composition().packed().toFloats(),
                            adapter.composition().packed().toFloats(), way.name);
                    // And without training.
                    for (int i = 0; i < trainables.size(); i++) {
                        try (NamedTensors now = trainables.get(i).parameters(stream).copy()) {
                            saved.trainables().get(i).loadParameters(stream, now.asMap());
                            assertSameBits(numbers(now.copy()), numbers(saved.trainables().get(i).parameters(stream)),
                                    way.name);
                        }
                    }
                }
            }
        }
    }

    @Test
    void whatDoesNotFitIsRefusedAndChangesNothing() {
        for (Way way : WAYS) {
            try (Adapter adapter = create(way);
                    AdamWRun run = AdamWRun.of(stream, way.weightDecay, adapter.trainables())) {
                Map<String, float[]> before = state(adapter, run);
                for (Trainable trainable : adapter.trainables()) {
                    long version = trainable.version();
                    try (NamedTensors values = trainable.parameters(stream).copy();
                            Tensor other = Tensor.of(new float[6], 2, 3)) {
                        for (String name : values.asMap().keySet()) {
                            Map<String, Tensor> changed = new HashMap<>(values.asMap());
                            values.asMap().values().forEach(tensor -> tensor.setFloat(0, 7));
                            changed.remove(name);
                            assertRefused(trainable, changed, name, "nothing");
                            changed.put(name, other);
                            assertRefused(trainable, changed, name, "[2, 3]");
                            Tensor own = values.get(name);
                            changed.put(name, own);
                            own.setFloat(own.elements() - 1, Float.NaN);
                            assertRefused(trainable, changed, name, "NaN");
                            own.setFloat(own.elements() - 1, 0);
                        }
                    }
                    assertEquals(version, trainable.version());
                }
                assertSameBits(before, state(adapter, run), way.name);
            }
        }
    }

    private void assertRefused(Trainable trainable, Map<String, Tensor> values, String field, String found) {
        InputException e = assertThrows(InputException.class, () -> trainable.loadParameters(stream, values));
        assertEquals(field, e.field(), e.getMessage());
        assertTrue(e.found().contains(found), e.getMessage());
    }

    @Test
    void aSelectionAloneCannotBeReplaced() {
        try (Adapter adapter = create(WAYS.get(2))) {
            adapter.save(folder, true, stream);
        }
        try (Adapter adapter = Adapter.load(folder, stream)) {
            InputException e = assertThrows(InputException.class,
                    () -> adapter.composition().loadParameters(stream, Map.of()));
            assertEquals("save_only_topk_weights", e.field());
        }
    }
}

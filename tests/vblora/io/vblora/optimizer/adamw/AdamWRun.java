package io.vblora.optimizer.adamw;

import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.StepState;
import io.vblora.optimizer.OptimizerState;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.ParameterGroup;
import io.vblora.parameters.Trainable;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/** AdamW on some trainables, as a trainer runs it, with PyTorch's defaults but for learning rate and weight decay. */
public final class AdamWRun implements AutoCloseable {
    private final Stream stream;
    private final List<? extends Trainable> trainables;
    private final OptimizerState state;
    private final StepState step;

    /** Both moments, copied to the CPU. */
    public record Copies(NamedTensors expAvg, NamedTensors expAvgSq) implements AutoCloseable {
        /** All numbers, those of the first moment as "m " and the name, of the second as "v ". */
        public Map<String, float[]> numbers() {
            Map<String, float[]> numbers = new LinkedHashMap<>();
            expAvg.asMap().forEach((name, tensor) -> numbers.put("m " + name, tensor.toFloats()));
            expAvgSq.asMap().forEach((name, tensor) -> numbers.put("v " + name, tensor.toFloats()));
            return numbers;
        }

        @Override
        public void close() {
            expAvg.close();
            expAvgSq.close();
        }
    }

    private AdamWRun(Stream stream, AdamW adamW, List<? extends Trainable> trainables) {
        this.stream = stream;
        this.trainables = trainables;
        trainables.forEach(t -> t.enableTraining(stream));
        this.state = adamW.attach(stream, trainables);
        this.step = new StepState(stream.device());
    }

    /** Enables training and attaches AdamW. */
    public static AdamWRun of(Stream stream, double weightDecay, List<? extends Trainable> trainables) {
        return new AdamWRun(stream, new AdamW(0.9, 0.999, 1e-8, weightDecay), trainables);
    }

    public static AdamWRun of(Stream stream, double weightDecay, Trainable... trainables) {
        return of(stream, weightDecay, List.of(trainables));
    }

    /** The same without active sets, however large the bank. */
    public static AdamWRun dense(Stream stream, Trainable trainable) {
        return new AdamWRun(stream, new AdamW(0.9, 0.999, 1e-8, 0, Integer.MAX_VALUE, 1), List.of(trainable));
    }

    /** With active sets, however small the bank, that begin with the least room, topk entries, and so have to grow. */
    public static AdamWRun growing(Stream stream, Trainable trainable) {
        return active(stream, trainable, 1);
    }

    /** With active sets, however small the bank, that begin with room for {@code capacity} entries in each row. */
    public static AdamWRun active(Stream stream, Trainable trainable, int capacity) {
        return new AdamWRun(stream, new AdamW(0.9, 0.999, 1e-8, 0, 1, capacity), List.of(trainable));
    }

    public StepState step() {
        return step;
    }

    /** Sets the constants of a step, from 1, and uploads them. */
    public void begin(long number, ToDoubleFunction<ParameterGroup> learningRates) {
        state.prepare(stream, number, learningRates);
        step.step(number).upload(stream);
    }

    /** Changes the parameters, once the gradients are there. */
    public void update() {
        giveOps();
        note();
    }

    /** The device's part of an update. */
    public void giveOps() {
        state.update(stream, step);
        trainables.forEach(t -> t.refresh(stream));
    }

    /** What the host notes about an update. */
    public void note() {
        state.updated(stream);
        trainables.forEach(Trainable::updated);
    }

    /** A whole step from what the passes have added to the gradients, without clipping. */
    public void step(long number, ToDoubleFunction<ParameterGroup> learningRates) {
        begin(number, learningRates);
        trainables.forEach(t -> t.backward(stream));
        update();
    }

    public Copies moments() {
        try (var tensors = state.tensors(stream)) {
            return new Copies(tensors.get(AdamW.EXP_AVG).copy(), tensors.get(AdamW.EXP_AVG_SQ).copy());
        }
    }

    public void load(Map<String, Tensor> expAvg, Map<String, Tensor> expAvgSq) {
        state.load(stream, Map.of(AdamW.EXP_AVG, expAvg, AdamW.EXP_AVG_SQ, expAvgSq));
    }

    @Override
    public void close() {
        state.close();
        step.close();
    }
}

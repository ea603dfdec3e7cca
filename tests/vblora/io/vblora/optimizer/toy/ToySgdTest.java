package io.vblora.optimizer.toy;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.Golden;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.blas.Blas;
import io.vblora.data.CausalLmExample;
import io.vblora.kernels.Stream;
import io.vblora.kernels.ops.StepState;
import io.vblora.model.Execution;
import io.vblora.model.LlamaModel;
import io.vblora.optimizer.OptimizerState;
import io.vblora.train.CausalLmObjective;
import io.vblora.train.Trainer;
import io.vblora.train.TrainingArguments;
import io.vblora.train.TrainingResult;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** An optimizer that is nowhere named outside this folder trains both kinds of parameters. */
class ToySgdTest {
    @TempDir
    private Path folder;

    private static List<CausalLmExample> examples() {
        Random random = new Random(3);
        List<CausalLmExample> examples = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            examples.add(CausalLmExample.of(random.ints(12, 0, 20).toArray()));
        }
        return examples;
    }

    /** Rates that are high for AdamW: a few steps of plain descent are to show. */
    @Test
    void trainsAndWhatItLeavesIsWhatIsSaved() {
        AdapterConfig vbLora = VbLoraConfig.builder().targetModules("all-linear").numVectors(300).vectorLength(16)
                .initVectorBankBound(0.5).build();
        AdapterConfig lora = LoraConfig.builder().targetModules("all-linear").build();
        for (AdapterConfig config : List.of(vbLora, lora)) {
            try (Stream stream = Stream.cpu(1); Execution execution = new Execution(stream, Blas.on(stream.device()));
                    LlamaModel model = LlamaModel.load(Golden.own("models/tinyrand"), null, stream);
                    Adapter adapter = Adapter.create(config, model.linears(), stream, 1)) {
                model.attach(adapter);
                float[] before = adapter.composition().packed().toFloats();
                List<CausalLmExample> examples = examples();
                TrainingArguments arguments = TrainingArguments.builder().maxSteps(15).warmupSteps(1).maxGradNorm(0)
                        .learningRate(1).learningRate("learning_rate_vector_bank", 1)
                        .learningRate("learning_rate_logits", 50).build();
                TrainingResult result = new Trainer<>(new CausalLmObjective(model), execution, arguments, List.of(),
                        new ToySgd()).train(examples, examples);
                double lossBefore = result.metricsBefore().get("eval_loss");
                double lossAfter = result.metricsAfter().get("eval_loss");
                assertTrue(lossAfter < lossBefore - 0.01, config.peftType() + ": " + lossBefore + " before, "
                        + lossAfter + " after");
                adapter.save(folder, false, stream);
                try (Adapter loaded = Adapter.load(folder, stream)) {
                    float[] packed = loaded.composition().packed().toFloats();
                    assertArrayEquals(adapter.composition().packed().toFloats(), packed, config.peftType());
                    assertFalse(Arrays.equals(before, packed));
                }
            }
        }
    }

    @Test
    void descendsAlongTheGradient() {
        try (Stream stream = Stream.cpu(1); Adapter adapter = Adapter.create(
                LoraConfig.builder().targetModules("all-linear").r(2).build(), List.of(new ModuleShape("a", 3, 2)),
                stream, 1); StepState step = new StepState(stream.device())) {
            adapter.composition().enableTraining(stream);
            float[] start = adapter.composition().packed().toFloats();
            float[] gradient = new float[start.length];
            for (int i = 0; i < gradient.length; i++) {
                gradient[i] = i - 3;
            }
            adapter.composition().packedGradient().copyFrom(gradient);
            try (OptimizerState sgd = new ToySgd().attach(stream, adapter.trainables())) {
                sgd.prepare(stream, 1, group -> 0.25);
                sgd.update(stream, step);
            }
            float[] found = adapter.composition().packed().toFloats();
            for (int i = 0; i < found.length; i++) {
                assertEquals(start[i] - 0.25f * gradient[i], found[i], "element " + i);
            }
        }
    }
}

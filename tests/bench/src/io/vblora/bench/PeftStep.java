package io.vblora.bench;

import static org.bytedeco.pytorch.global.torch.from_blob;
import static org.bytedeco.pytorch.global.torch.set_num_threads;

import io.vblora.adapter.AdaptedModule;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AdamW;
import org.bytedeco.pytorch.AdamWOptions;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorIndex;
import org.bytedeco.pytorch.TensorIndexVector;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;

/**
 * What {@link VbLoraStep} does, in libtorch, operation by operation as Hugging Face PEFT's {@code VBLoRALayer} has it
 * in training: for each module and direction topk, softmax, index into the bank, multiply, sum, reshape; then autograd
 * from dA and dB of all modules, and {@code torch::optim::AdamW}, which takes one tensor after the other as Python's
 * does on the CPU by default.
 */
final class PeftStep {
    /** A module's parameters; their gradients are theirs. */
    record Module(Tensor logitsA, Tensor logitsB) {}

    private final int topk;
    private final Tensor bank;
    private final List<Module> modules = new ArrayList<>();
    /** dA [r, in] and dB [out, r] of the modules in turn. */
    private final List<Tensor> gradients = new ArrayList<>();
    private final TensorVector gradientVector = new TensorVector();
    private final AdamW bankOptimizer;
    private final AdamW logitsOptimizer;

    /** Begins with the parameters of ours, which it copies. Threads are a setting of the whole process. */
    PeftStep(VbLoraStep ours, int topk, int threads) {
        set_num_threads(threads);
        this.topk = topk;
        Map<String, io.vblora.kernels.Tensor> parameters = ours.composition().parameters(ours.stream()).asMap();
        this.bank = parameter(parameters.get(Agreement.VECTOR_BANK));
        TensorVector logits = new TensorVector();
        for (AdaptedModule module : ours.adapter().modules()) {
            Module copy = new Module(parameter(parameters.get(Agreement.logitsA(module))),
                    parameter(parameters.get(Agreement.logitsB(module))));
            modules.add(copy);
            logits.push_back(copy.logitsA).push_back(copy.logitsB);
            gradients.add(torch.zeros(module.r(), module.inFeatures()));
            gradients.add(torch.zeros(module.outFeatures(), module.r()));
        }
        gradients.forEach(gradientVector::push_back);
        this.bankOptimizer = adamW(new TensorVector(bank), VbLoraStep.LEARNING_RATE_VECTOR_BANK);
        this.logitsOptimizer = adamW(logits, VbLoraStep.LEARNING_RATE_LOGITS);
    }

    private static Tensor parameter(io.vblora.kernels.Tensor values) {
        return from_blob(values.pointer(), values.shape()).clone().set_requires_grad(true);
    }

    private static AdamW adamW(TensorVector parameters, double learningRate) {
        AdamWOptions options = new AdamWOptions(learningRate);
        options.weight_decay().put(0);
        return new AdamW(parameters, options);
    }

    Tensor bank() {
        return bank;
    }

    List<Module> modules() {
        return modules;
    }

    /** Sets dA and dB of all modules, from packed dA and dBᵀ. */
    void setGradient(io.vblora.kernels.Tensor packed) {
        try (PointerScope scope = new PointerScope()) {
            long offset = 0;
            for (int i = 0; i < gradients.size(); i += 2) {
                Tensor da = gradients.get(i);
                Tensor db = gradients.get(i + 1);
                da.copy_(from_blob(packed.view(offset, da.numel()).pointer(), da.size(0), da.size(1)));
                offset += da.numel();
                db.copy_(from_blob(packed.view(offset, db.numel()).pointer(), db.size(1), db.size(0)).t());
                offset += db.numel();
            }
        }
    }

    /** {@code _get_low_rank_matrix}. */
    private Tensor lowRankMatrix(Tensor logits) {
        T_TensorTensor_T top = logits.topk(topk, -1, true, true);
        Tensor weights = top.get0().softmax(-1);
        return weights.unsqueeze(-1).mul(bank.index(new TensorIndexVector(new TensorIndex(top.get1())))).sum(-2);
    }

    /** A [r, in] and B [out, r] of the modules in turn: {@code _get_lora_matrices}. */
    TensorVector forward() {
        TensorVector matrices = new TensorVector();
        for (Module module : modules) {
            if (module.logitsA.select(0, 0).select(0, 0).isinf().any().item_bool()) {
                throw new IllegalStateException("Found infinity values in VB-LoRA logits");
            }
            matrices.push_back(lowRankMatrix(module.logitsA).reshape(module.logitsA.size(0), -1));
            matrices.push_back(lowRankMatrix(module.logitsB).transpose(1, 2).reshape(-1, module.logitsB.size(1)));
        }
        return matrices;
    }

    void backward(TensorVector matrices) {
        torch.backward(matrices, gradientVector, new BoolOptional(), false, new TensorVector());
    }

    void update() {
        bankOptimizer.step();
        logitsOptimizer.step();
    }

    /** Sets the gradients to none, as a trainer does before each step. */
    void zeroGrad() {
        bankOptimizer.zero_grad(true);
        logitsOptimizer.zero_grad(true);
    }
}

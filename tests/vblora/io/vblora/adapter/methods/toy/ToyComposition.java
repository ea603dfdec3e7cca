package io.vblora.adapter.methods.toy;

import io.vblora.adapter.BaseWeights;
import io.vblora.adapter.Composition;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.PackedLayout;
import io.vblora.adapter.peft.PeftFile;
import io.vblora.adapter.peft.StoredForm;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.parameters.FlatParameters;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.ParameterLayout;
import java.util.Collections;
import java.util.List;

/** R is the parameters; packed are R A and B transposed. On the CPU. */
final class ToyComposition extends FlatParameters implements Composition {
    private final int r;
    private final List<ModuleShape> modules;
    private final ParameterLayout layoutA;
    private final ParameterLayout layoutB;
    private final ParameterLayout packedLayout;
    private final Tensor a;
    private final Tensor b;
    private final Tensor packed;
    private Tensor packedGradient;

    ToyComposition(Device device, ToyConfig config, List<ModuleShape> modules) {
        super(device, config.source(), config.layout(modules, ToyMethod.R));
        this.r = config.r();
        this.modules = modules;
        this.layoutA = config.layout(modules, ToyMethod.A);
        this.layoutB = config.layout(modules, ToyMethod.B);
        this.packedLayout = PackedLayout.of(config, modules);
        this.a = allocate(layoutA.elements());
        this.b = allocate(layoutB.elements());
        this.packed = allocate(packedLayout.elements());
        groups(Collections.nCopies(modules.size(), ToyMethod.GROUP));
    }

    void initialize(BaseWeights base) {
        for (int m = 0; m < modules.size(); m++) {
            int in = (int) modules.get(m).inFeatures();
            int out = (int) modules.get(m).outFeatures();
            float[] weight = base.of(modules.get(m).path()).toFloats();
            boolean inOut = base.shape(modules.get(m).path()).fanInFanOut();
            Tensor ownA = layoutA.tensors().get(m).view(a);
            Tensor ownB = layoutB.tensors().get(m).view(b);
            for (int i = 0; i < r; i++) {
                for (int j = 0; j < in; j++) {
                    ownA.setFloat((long) i * in + j, weight[inOut ? j * out + i : i * in + j]);
                }
                for (int j = 0; j < out; j++) {
                    ownB.setFloat((long) j * r + i, weight[inOut ? i * out + j : j * in + i]);
                }
            }
        }
        compose();
    }

    void read(PeftFile file) {
        file.readFinite(layoutA, a);
        file.readFinite(layoutB, b);
        readR(file);
    }

    void readR(PeftFile file) {
        file.readFinite(layout(), values());
        compose();
    }

    private void compose() {
        for (int m = 0; m < modules.size(); m++) {
            int in = (int) modules.get(m).inFeatures();
            float[] between = layout().tensors().get(m).view(values()).toFloats();
            float[] ownA = layoutA.tensors().get(m).view(a).toFloats();
            float[] product = new float[r * in];
            for (int i = 0; i < r; i++) {
                for (int k = 0; k < r; k++) {
                    for (int j = 0; j < in; j++) {
                        product[i * in + j] += between[i * r + k] * ownA[k * in + j];
                    }
                }
            }
            packedLayout.factors().get(m).a().view(packed).copyFrom(product);
            packedLayout.factors().get(m).b().copy(layoutB.tensors().get(m).view(b), packed);
        }
    }

    /** dR = d(R A) Aᵀ. */
    @Override
    public void backward(Stream stream) {
        stream.synchronize();
        for (int m = 0; m < modules.size(); m++) {
            int in = (int) modules.get(m).inFeatures();
            float[] dproduct = packedLayout.factors().get(m).a().view(packedGradient()).toFloats();
            float[] ownA = layoutA.tensors().get(m).view(a).toFloats();
            float[] gradient = new float[r * r];
            for (int i = 0; i < r; i++) {
                for (int k = 0; k < r; k++) {
                    for (int j = 0; j < in; j++) {
                        gradient[i * r + k] += dproduct[i * in + j] * ownA[k * in + j];
                    }
                }
            }
            layout().tensors().get(m).view(gradient()).copyFrom(gradient);
        }
    }

    @Override
    public void refresh(Stream stream) {
        stream.synchronize();
        compose();
    }

    @Override
    public NamedTensors stored(StoredForm form, Stream stream) {
        NamedTensors stored = parameters(stream);
        if (form.equals(ToyMethod.FORM)) {
            layoutA.addTo(stored, a);
            layoutB.addTo(stored, b);
        }
        return stored;
    }

    @Override
    public Tensor packed() {
        return packed;
    }

    @Override
    public Tensor packedGradient() {
        gradient();
        return packedGradient;
    }

    @Override
    public void enableTraining(Stream stream) {
        super.enableTraining(stream);
        closeGradient();
        packedGradient = Tensor.allocate(stream.device(), DType.FLOAT32, packed.elements());
    }

    private void closeGradient() {
        if (packedGradient != null) {
            packedGradient.close();
        }
    }

    @Override
    public void close() {
        super.close();
        closeGradient();
    }
}

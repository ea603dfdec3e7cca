package io.vblora.model.toygpt;

import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.model.Decoder;
import io.vblora.model.InputEmbeddings;
import io.vblora.model.LayerNorm;
import io.vblora.model.Linear;
import io.vblora.model.LinearGroup;
import io.vblora.model.ModelLayer;
import io.vblora.model.Parameter;
import io.vblora.model.Pass;
import io.vblora.model.Tokens;
import io.vblora.model.WeightReader;
import io.vblora.model.config.DecoderConfig;
import io.vblora.weights.WeightSource;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A decoder with what GPT-2 has beside attention: learned positions, layer norms and weights stored as [in, out]. */
final class ToyGpt extends Decoder {
    static final int VOCABULARY = 7;
    static final int HIDDEN = 4;
    static final int POSITIONS = 6;
    static final int LAYERS = 2;
    static final float EPS = 1e-5f;

    private ToyGpt(List<Tensor> weights, InputEmbeddings embeddings, List<Layer> layers, LayerNorm norm, Linear head) {
        super(weights, embeddings, layers, norm, head);
    }

    static ToyGpt load(Path folder, Stream stream) {
        try (WeightSource source = WeightSource.open(folder)) {
            return WeightReader.load(source, null, stream, reader -> {
                List<Layer> layers = new ArrayList<>();
                for (int i = 0; i < LAYERS; i++) {
                    layers.add(new Layer(reader.layerNorm("h." + i + ".ln", HIDDEN, EPS),
                            new LinearGroup(reader.conv1d("h." + i + ".c_proj", HIDDEN, HIDDEN))));
                }
                return new ToyGpt(reader.tensors(), new InputEmbeddings(
                        reader.embedding("wte", VOCABULARY, HIDDEN, -1),
                        reader.embedding("wpe", POSITIONS, HIDDEN, -1)), layers,
                        reader.layerNorm("ln_f", HIDDEN, EPS), reader.linear("lm_head", VOCABULARY, HIDDEN, false));
            });
        }
    }

    @Override
    public DecoderConfig config() {
        return new DecoderConfig() {
            @Override
            public int vocabSize() {
                return VOCABULARY;
            }

            @Override
            public int maxPositionEmbeddings() {
                return POSITIONS;
            }
        };
    }

    /** ln(x + c_proj(x)). */
    private record Layer(LayerNorm norm, LinearGroup projection) implements ModelLayer<Layer.Saved> {
        record Saved(Tensor x, Tensor reduced, Tensor sum, LayerNorm.Saved statistics) {}

        @Override
        public List<Linear> linears() {
            return projection.members();
        }

        @Override
        public List<Parameter> parameters() {
            List<Parameter> parameters = new ArrayList<>(norm.parameters());
            parameters.addAll(projection.members().get(0).parameters());
            return parameters;
        }

        @Override
        public Saved forward(Pass pass, Tokens batch, Tensor x, Tensor out) {
            Tensor reduced = projection.takeReduced(pass, batch.rows());
            Tensor sum = pass.arena().floats(x.shape());
            projection.forward(pass, batch.rows(), x, x, reduced, sum);
            return new Saved(x, reduced, sum, norm.forward(pass, batch.rows(), sum, out));
        }

        @Override
        public void backward(Pass pass, Tokens batch, Saved saved, Tensor dx, boolean inputGradient) {
            long mark = pass.arena().mark();
            norm.backward(pass, saved.sum, saved.statistics, dx);
            Tensor dsum = pass.arena().floats(dx.shape());
            Memory.copy(pass.stream(), dx, dsum);
            projection.backward(pass, batch.rows(), saved.x, saved.reduced, dsum, dx, true);
            pass.arena().release(mark);
        }
    }
}

package io.vblora.model.toy;

import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.model.Decoder;
import io.vblora.model.Embedding;
import io.vblora.model.InputEmbeddings;
import io.vblora.model.Linear;
import io.vblora.model.LinearGroup;
import io.vblora.model.RmsNorm;
import io.vblora.model.WeightReader;
import io.vblora.weights.WeightSource;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A decoder without attention: the next token depends on the last one alone. */
final class ToyDecoder extends Decoder {
    static final float EPS = 1e-6f;

    private final ToyConfig config;

    private ToyDecoder(ToyConfig config, List<Tensor> weights, Embedding embedding, List<ToyLayer> layers,
            RmsNorm norm, Linear head) {
        super(weights, new InputEmbeddings(embedding, null), layers, norm, head);
        this.config = config;
    }

    static ToyDecoder load(Path folder, DType dtype, Stream stream) {
        ToyConfig config = ToyConfig.read(folder);
        try (WeightSource source = WeightSource.open(folder)) {
            WeightReader.checkLayers(source, folder, "layers.", config.numHiddenLayers());
            return WeightReader.load(source, dtype, stream, reader -> read(config, reader));
        }
    }

    private static ToyDecoder read(ToyConfig config, WeightReader reader) {
        int hidden = config.hiddenSize();
        Embedding embedding = reader.embedding("tokens", config.vocabSize(), hidden, -1);
        List<ToyLayer> layers = new ArrayList<>();
        for (int i = 0; i < config.numHiddenLayers(); i++) {
            layers.add(new ToyLayer(reader.rmsNorm("layers." + i + ".norm", hidden, EPS),
                    new LinearGroup(reader.linear("layers." + i + ".mix", hidden, hidden, true))));
        }
        return new ToyDecoder(config, reader.tensors(), embedding, layers, reader.rmsNorm("norm", hidden, EPS),
                reader.linear("lm_head", config.vocabSize(), hidden, false));
    }

    @Override
    public ToyConfig config() {
        return config;
    }
}

package io.vblora.cli;

import io.vblora.adapter.Adapter;
import io.vblora.data.ReadingProgress;
import io.vblora.data.SequenceColumns;
import io.vblora.data.SequenceExample;
import io.vblora.data.SequenceFile;
import io.vblora.data.TableFormat;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.model.BertModel;
import io.vblora.model.ProblemType;
import io.vblora.model.SequenceConfig;
import io.vblora.model.SequenceModel;
import io.vblora.model.config.BertConfig;
import io.vblora.model.config.Pooling;
import io.vblora.train.SequenceObjective;
import java.nio.file.Path;
import java.util.List;

/** Predicting the class or the value of a text, or a pair of texts, with a BERT-type encoder. */
final class SequenceSession implements TaskSession<SequenceExample> {
    /** Like Hugging Face's run_glue. */
    private static final int USUAL_MAX_SEQ_LENGTH = 128;

    private final Path path;
    private final DataOptions data;
    private final Invocation invocation;
    private final ProblemType problemType;
    private final Pooling pooling;
    private final boolean newAdapter;
    private final int maxSeqLength;
    private final boolean labelled;
    private final BertConfig encoder;
    private final LazyTokenizer tokenizer;
    /** Null until the first data has determined the labels. */
    private SequenceConfig config;
    private List<Integer> skipped;
    private SequenceModel model;

    /** For a new adapter; {@code pooling} may be null, which means the model's own. */
    SequenceSession(Path path, Task task, Pooling pooling, DataOptions data, Invocation invocation) {
        this.path = path;
        this.data = data;
        this.invocation = invocation;
        this.problemType = task.problemType();
        this.pooling = pooling;
        this.newAdapter = true;
        this.encoder = BertModel.config(path);
        this.labelled = true;
        this.maxSeqLength = data.maxSeqLength(USUAL_MAX_SEQ_LENGTH, encoder.maxLength());
        this.tokenizer = new LazyTokenizer(path);
    }

    /**
     * For an existing adapter, which has labels, pooling and length of its own.
     *
     * @param labelled whether the data has labels
     */
    SequenceSession(Path path, SequenceConfig config, boolean labelled, DataOptions data, Invocation invocation) {
        this.path = path;
        this.data = data;
        this.invocation = invocation;
        this.problemType = config.problemType();
        this.pooling = config.pooling();
        this.newAdapter = false;
        this.encoder = BertModel.config(path);
        this.labelled = labelled;
        this.maxSeqLength = config.maxSeqLength();
        this.tokenizer = new LazyTokenizer(path);
        this.config = config;
    }

    @Override
    public List<SequenceExample> read(String what, Path file) {
        TableFormat format = data.format(file);
        SequenceColumns columns = data.columns(labelled);
        boolean regression = problemType == ProblemType.REGRESSION;
        ReadingProgress progress = new ReadingProgress(file, invocation.err());
        SequenceFile read = regression
                ? SequenceFile.readRegression(file, format, columns, tokenizer.get(), maxSeqLength,
                        data.overlong(), encoder, progress)
                : SequenceFile.readClassification(file, format, columns, tokenizer.get(), maxSeqLength,
                        data.overlong(), encoder, config == null ? null : config.labels(), progress);
        invocation.say("%s data: %s", what, read.summary());
        if (config == null) {
            config = new SequenceConfig(problemType, pooling, read.labels(), maxSeqLength);
        }
        skipped = read.skipped();
        return read.examples();
    }

    @Override
    public List<Integer> skipped() {
        return skipped;
    }

    @Override
    public void load(DType dtype, Stream stream) {
        model = SequenceModel.load(path, config, dtype, stream);
        invocation.say("pooling: %s%s", model.config().pooling(), pooledBy());
    }

    /** Says who chose the pooling. */
    private String pooledBy() {
        if (!newAdapter) {
            return ", as the adapter has it";
        }
        if (pooling != null) {
            return ", as --pooling says";
        }
        return model.encoder().statedPooling().isPresent() ? ", as the model says"
                : "; the model does not say how it is to be pooled, --pooling cls, mean or pooler does";
    }

    @Override
    public SequenceModel model() {
        return model;
    }

    @Override
    public SequenceObjective attach(Adapter adapter) {
        model.attach(adapter);
        return new SequenceObjective(model);
    }

    @Override
    public void close() {
        tokenizer.close();
        if (model != null) {
            model.close();
        }
    }
}

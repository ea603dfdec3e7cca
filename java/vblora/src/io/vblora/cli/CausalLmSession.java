package io.vblora.cli;

import io.vblora.adapter.Adapter;
import io.vblora.data.CausalLmConfig;
import io.vblora.data.CausalLmExample;
import io.vblora.data.CausalLmFile;
import io.vblora.data.ReadingProgress;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.model.CausalLm;
import io.vblora.model.config.DecoderConfig;
import io.vblora.train.CausalLmObjective;
import io.vblora.train.Objective;
import java.nio.file.Path;
import java.util.List;

/** Predicting the next token with a language model. */
final class CausalLmSession implements TaskSession<CausalLmExample> {
    /** Like Hugging Face's run_clm. */
    private static final int USUAL_MAX_SEQ_LENGTH = 1024;

    private final Path folder;
    private final DataOptions data;
    private final Invocation invocation;
    private final DecoderConfig config;
    private final CausalLmConfig task;
    private final LazyTokenizer tokenizer;
    private List<Integer> skipped;
    private CausalLm model;

    CausalLmSession(Path folder, DataOptions data, Invocation invocation) {
        this.folder = folder;
        this.data = data;
        this.invocation = invocation;
        this.config = CausalLm.config(folder);
        this.task = data.causalLm(invocation, USUAL_MAX_SEQ_LENGTH, config.maxPositionEmbeddings());
        this.tokenizer = new LazyTokenizer(folder);
    }

    @Override
    public List<CausalLmExample> read(String what, Path file) {
        ReadingProgress progress = new ReadingProgress(file, invocation.err());
        CausalLmFile read = task.prompt() == null
                ? CausalLmFile.read(file, tokenizer::orNull, task.maxSeqLength(), data.overlong(), config.vocabSize(),
                        progress)
                : CausalLmFile.readPrompts(file, data.format(file), task.prompt(), task.responseColumn(),
                        tokenizer::orNull, task.maxSeqLength(), data.overlong(), config.vocabSize(), progress);
        invocation.say("%s data: %s", what, read.summary());
        skipped = read.skipped();
        return read.examples();
    }

    @Override
    public List<Integer> skipped() {
        return skipped;
    }

    @Override
    public void load(DType dtype, Stream stream) {
        model = CausalLm.load(folder, dtype, stream);
    }

    @Override
    public CausalLm model() {
        return model;
    }

    @Override
    public Objective<CausalLmExample> attach(Adapter adapter) {
        model.attach(adapter);
        if (adapter != null) {
            adapter.setTaskConfig(task.json());
        }
        return new CausalLmObjective(model);
    }

    @Override
    public void close() {
        tokenizer.close();
        if (model != null) {
            model.close();
        }
    }
}

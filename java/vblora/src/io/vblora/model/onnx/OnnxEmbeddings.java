package io.vblora.model.onnx;

import io.vblora.model.config.BertConfig;
import io.vblora.onnx.OnnxEvaluator;
import io.vblora.onnx.OnnxFile;
import io.vblora.onnx.OnnxNode;
import io.vblora.onnx.OnnxValue;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Recognises the sum of rows of three tables: of words, of positions and of token types. They are told apart by the
 * rows that the graph takes for the sample's texts.
 */
final class OnnxEmbeddings {
    private static final List<String> TABLES =
            List.of("word_embeddings", "position_embeddings", "token_type_embeddings");

    private final OnnxFile file;
    private final OnnxEvaluator evaluator;
    private final OnnxModules modules;
    private final Map<String, OnnxBertWeights.Source> tables = new LinkedHashMap<>();
    private int positionOffset;

    /**
     * Goes back from a value.
     *
     * @param sum what the layer normalisation of the embeddings reads
     */
    OnnxEmbeddings(OnnxFile file, OnnxEvaluator evaluator, OnnxModules modules, String sum) {
        this.file = file;
        this.evaluator = evaluator;
        this.modules = modules;
        Deque<String> open = new ArrayDeque<>(List.of(sum));
        while (!open.isEmpty()) {
            String value = modules.behind(open.pop());
            OnnxNode node = file.producer(value);
            if (node != null && node.op().equals("Add")) {
                open.push(node.input(0));
                open.push(node.input(1));
            } else {
                put(value, node);
            }
        }
        for (String table : TABLES) {
            if (!tables.containsKey(table)) {
                throw modules.refused(sum, "a sum without rows of " + table, "rows of " + String.join(", ", TABLES));
            }
        }
    }

    /** The three tables [rows, hidden] by their names in Hugging Face's models. */
    Map<String, OnnxBertWeights.Source> tables() {
        return tables;
    }

    /** The row of the table of positions that a text's first token has. */
    int positionOffset() {
        return positionOffset;
    }

    private void put(String value, OnnxNode node) {
        boolean gather = node != null && node.op().equals("Gather") && node.integer("axis", 0L) == 0;
        String table = gather ? modules.behind(node.input(0)) : value;
        if (!file.contains(table) || evaluator.value(table).rank() != 2 && gather) {
            throw modules.refused(value, "neither rows of a table nor a constant", "rows of " + String.join(", ",
                    TABLES));
        }
        long columns = evaluator.value(table).lastSize();
        long rows = evaluator.value(table).elements() / Math.max(1, columns);
        String name = gather ? name(value, node.input(1)) : "token_type_embeddings";
        if (!gather && rows != 1) {
            throw modules.refused(value, "a constant " + evaluator.value(table), "one row");
        }
        if (rows > BertConfig.MAX_SIZE) {
            throw modules.refused(value, "a table of " + rows + " rows", "at most " + BertConfig.MAX_SIZE);
        }
        var source = new OnnxBertWeights.Source(table, List.of(rows, columns), false);
        if (tables.putIfAbsent(name, source) != null) {
            throw modules.refused(value, "a second table of " + name, "one");
        }
    }

    /** Which table it is that a text's numbers {@code indices} choose rows of. */
    private String name(String value, String indices) {
        OnnxValue rows = evaluator.value(indices);
        if (rows.isKnown() && rows.lastSize() == OnnxSample.LENGTH && rows.elements() > 0) {
            if (isSample(rows, OnnxSample.ids())) {
                return "word_embeddings";
            }
            if (isSample(rows, OnnxSample.types()) || isSample(rows, new double[(int) OnnxSample.tokens()])) {
                return "token_type_embeddings";
            }
            double[] positions = new double[(int) OnnxSample.tokens()];
            for (int i = 0; i < positions.length; i++) {
                positions[i] = rows.data()[0] + i % OnnxSample.LENGTH;
            }
            if (isSample(rows, positions) && rows.data()[0] >= 0) {
                positionOffset = (int) rows.data()[0];
                return "position_embeddings";
            }
        }
        throw modules.refused(value, "rows chosen otherwise", "rows of the input ids, of the token types, or one after "
                + "the other");
    }

    /** Whether rows, for all texts or each, are these wherever there is no padding. */
    private static boolean isSample(OnnxValue rows, double[] expected) {
        int n = rows.data().length;
        for (int i = 0; i < expected.length; i++) {
            boolean padding = i % OnnxSample.LENGTH >= OnnxSample.length(i / OnnxSample.LENGTH);
            if (!padding && rows.data()[i % n] != expected[i]) {
                return false;
            }
        }
        return expected.length % n == 0;
    }
}

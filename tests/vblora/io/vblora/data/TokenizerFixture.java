package io.vblora.data;

import io.vblora.kernels.ops.Activation;
import io.vblora.model.config.BertConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A tokenizer of seven tokens, small enough to encode by hand. */
public final class TokenizerFixture {
    /** Ids by position: the words of the vocabulary follow the special tokens. */
    static final String WORD_LEVEL = """
            {"version": "1.0",
             "truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
             "padding": {"strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
                         "pad_type_id": 0, "pad_token": "<unk>"},
             "added_tokens": [
              {"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
               "special": true},
              {"id": 1, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
               "special": true}],
             "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
             "post_processor": {"type": "TemplateProcessing",
              "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
              "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
              "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
             "decoder": null,
             "model": {"type": "WordLevel", "unk_token": "<unk>",
                       "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "the": 3, "bank": 4, "of": 5, "vectors": 6}}}
            """;

    private TokenizerFixture() {}

    /** An encoder of so many tokens and token types. */
    static BertConfig encoder(int vocabSize, int typeVocabSize) {
        return new BertConfig("bert", 8, 1, 1e-12f, new BertConfig.Embeddings(vocabSize, 0, 64, 0, typeVocabSize),
                new BertConfig.Layer(2, 16, Activation.GELU), 0.02);
    }

    /** Writes it as tokenizer.json. */
    public static void write(Path folder) throws IOException {
        Files.writeString(folder.resolve("tokenizer.json"), WORD_LEVEL);
    }
}

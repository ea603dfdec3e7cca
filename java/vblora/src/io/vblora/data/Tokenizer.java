package io.vblora.data;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.InputException;
import io.vblora.JsonFields;
import io.vblora.WholeFile;
import io.vblora.kernels.NativeLibraryException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.OptionalInt;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Turns text into token ids and back by a Hugging Face {@code tokenizer.json}, through DJL's binding of the tokenizers
 * library. Truncation and padding that the file may ask for are switched off. Nothing is fetched from a network.
 * Thread-safe until closed.
 */
public final class Tokenizer implements AutoCloseable {
    private static final String FILE_NAME = "tokenizer.json";
    /** The files with the largest vocabularies have some 30 MB. */
    private static final int MAX_FILE_BYTES = 128 << 20;
    private static final TokenizersLibrary LIBRARY = TokenizersLibrary.LIB;

    private final Path file;
    /** 0 once it is closed. */
    private final AtomicLong handle;
    /** The most characters that a text to be tokenized may have. */
    private final int longestText;
    private final OptionalInt eosTokenId;

    private Tokenizer(Path file, long handle, int longestText, OptionalInt eosTokenId) {
        this.file = file;
        this.handle = new AtomicLong(handle);
        this.longestText = longestText;
        this.eosTokenId = eosTokenId;
    }

    /**
     * Opens {@code tokenizer.json}. The end-of-sequence token is taken from the first of {@code tokenizer_config.json},
     * {@code special_tokens_map.json} and {@code config.json} in the same folder that names one.
     *
     * @param path a model folder, or the {@code tokenizer.json} itself
     * @throws InputException if a file is missing or cannot be used
     * @throws NativeLibraryException if the tokenizers' native library cannot be loaded
     */
    public static Tokenizer open(Path path) {
        Path file = Files.isDirectory(path) ? path.resolve(FILE_NAME) : path;
        byte[] content = WholeFile.read(file, "a tokenizer in Hugging Face's format, " + FILE_NAME, MAX_FILE_BYTES);
        ObjectNode json = JsonFields.parse(file.toString(), content).object();
        int longestText = TokenizerCheck.check(file, json);
        OptionalInt eosTokenId = findEosTokenId(file.toAbsolutePath().getParent(), json);
        return new Tokenizer(file, open(file, new String(content, StandardCharsets.UTF_8)), longestText, eosTokenId);
    }

    /**
     * Loads the native library. Opening a tokenizer does this by itself.
     *
     * @return its version and platform
     * @throws NativeLibraryException if that fails
     */
    public static String loadLibrary() {
        TokenizersNative.load();
        return TokenizersNative.version();
    }

    private static long open(Path file, String json) {
        TokenizersNative.load();
        try {
            long handle = LIBRARY.createTokenizerFromString(json);
            LIBRARY.disableTruncation(handle);
            LIBRARY.disablePadding(handle);
            return handle;
        } catch (RuntimeException e) {
            throw new InputException(file.toString(), "", "a file that the tokenizers library refuses ("
                    + rootMessage(e) + ")", "a tokenizer in Hugging Face's format", e);
        }
    }

    private static String rootMessage(Throwable e) {
        while (e.getCause() != null) {
            e = e.getCause();
        }
        return e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    }

    private static OptionalInt findEosTokenId(Path folder, JsonNode tokenizer) {
        for (String name : new String[] {"tokenizer_config.json", "special_tokens_map.json"}) {
            Path file = folder.resolve(name);
            if (Files.exists(file)) {
                JsonNode token = JsonFields.read(file).object().path("eos_token");
                String content = (token.isObject() ? token.path("content") : token).asText("");
                if (!content.isEmpty()) {
                    return OptionalInt.of(tokenId(file, content, tokenizer));
                }
            }
        }
        Path file = folder.resolve("config.json");
        if (Files.exists(file)) {
            JsonNode id = JsonFields.read(file).object().path("eos_token_id");
            // several ids all end a sequence; the first is the tokenizer's own
            JsonNode first = id.isArray() ? id.path(0) : id;
            if (first.isInt() && first.intValue() >= 0) {
                return OptionalInt.of(first.intValue());
            }
        }
        return OptionalInt.empty();
    }

    private static int tokenId(Path file, String token, JsonNode tokenizer) {
        for (JsonNode added : tokenizer.path("added_tokens")) {
            if (added.path("content").asText().equals(token) && added.path("id").isInt()
                    && added.path("id").intValue() >= 0) {
                return added.path("id").intValue();
            }
        }
        JsonNode vocabulary = tokenizer.path("model").path("vocab");
        if (vocabulary.path(token).isInt() && vocabulary.path(token).intValue() >= 0) {
            return vocabulary.get(token).intValue();
        }
        for (int id = 0; vocabulary.isArray() && id < vocabulary.size(); id++) { // Unigram: [[piece, score], ...]
            if (vocabulary.get(id).path(0).asText().equals(token)) {
                return id;
            }
        }
        throw new InputException(file, "eos_token", "\"" + token + "\", which " + FILE_NAME + " does not have",
                "a token of the tokenizer");
    }

    /**
     * Token ids of a text, with the special tokens that the file's post-processor adds.
     *
     * @throws InputException if the tokenizer cannot express the text
     */
    public int[] encode(String text) {
        return encode(text, null, Integer.MAX_VALUE).inputIds();
    }

    /**
     * The first {@code most} of the token ids that {@link #encode(String)} gives, or all if there are fewer. Of a long
     * text only as much of the beginning is tokenized as these ids need.
     *
     * @throws InputException if the tokenizer cannot express the text
     */
    public int[] start(String text, int most) {
        int[] ids = tokens(text, null, most).ids();
        return ids.length <= most ? ids : Arrays.copyOf(ids, most);
    }

    /**
     * A tokenized text or pair of texts, with its special tokens.
     *
     * @param inputIds token ids, [length]
     * @param tokenTypeIds the text that each token belongs to, according to the file's post-processor, [length]
     * @param truncated whether tokens were left out
     */
    public record Encoding(int[] inputIds, int[] tokenTypeIds, boolean truncated) {}

    /**
     * Tokenizes a text or a pair of texts. If the result is longer than {@code maxLength} tokens, the texts lose tokens
     * at their ends, never special ones, the longer text first, as with Hugging Face's {@code longest_first}. Of texts
     * of more than 65,536 characters only as much of the beginning is tokenized as is needed; if both are that long,
     * the one whose beginning has more tokens counts as the longer.
     *
     * @param pair the second text; null if there is none
     * @param maxLength the most tokens, special ones included
     * @throws InputException if the tokenizer cannot express the text, or only special tokens fit
     */
    public Encoding encode(String text, String pair, int maxLength) {
        LongText.Tokens tokens = tokens(text, pair, maxLength);
        return tokens.ids().length <= maxLength ? new Encoding(tokens.ids(), tokens.types(), false)
                : truncated(tokens.ids(), tokens.types(), tokens.texts(), maxLength);
    }

    private LongText.Tokens tokens(String text, String pair, int most) {
        if (text.length() <= LongText.SHORT && (pair == null || pair.length() <= LongText.SHORT)) {
            return wholeTokens(text, pair);
        }
        return new LongText(file.toString(), longestText, this::wholeTokens, System::nanoTime)
                .encode(text, pair, most);
    }

    private LongText.Tokens wholeTokens(String text, String pair) {
        // These are the library's own functions: DJL's encode fetches much more, and its batchEncode aborts the process
        // where a text cannot be expressed.
        long open = handle();
        long encoding;
        try {
            encoding = pair == null ? LIBRARY.encode(open, text, true) : LIBRARY.encodeDual(open, text, pair, true);
        } catch (RuntimeException e) {
            throw new InputException(file.toString(), "", "a text that it cannot encode (" + rootMessage(e) + ")",
                    "a tokenizer that has a token for anything unknown", e);
        }
        try {
            return new LongText.Tokens(ints(LIBRARY.getTokenIds(encoding)), ints(LIBRARY.getTypeIds(encoding)),
                    LIBRARY.getSequenceIds(encoding));
        } finally {
            LIBRARY.deleteEncoding(encoding);
        }
    }

    /** {@code sequenceIds}: 0 in the first text, 1 in the second, -1 at special tokens. */
    private static Encoding truncated(int[] inputIds, int[] tokenTypeIds, long[] sequenceIds, int maxLength) {
        int first = (int) LongStream.of(sequenceIds).filter(id -> id == 0).count();
        int second = (int) LongStream.of(sequenceIds).filter(id -> id == 1).count();
        int special = inputIds.length - first - second;
        int room = maxLength - special;
        if (room < 1) {
            throw new InputException("max_seq_length", "", maxLength + ", of which special tokens take " + special,
                    "at least " + (special + 1));
        }
        // The longer text is cut to what the shorter one leaves; if that is less than the shorter one has, they share.
        int shorter = Math.min(first, second);
        int longer = Math.max(shorter, room - shorter);
        if (shorter + longer > room) {
            shorter = room / 2;
            longer = room - shorter;
        }
        int[] left = first > second ? new int[] {longer, shorter} : new int[] {shorter, longer};
        int[] ids = new int[maxLength];
        int[] types = new int[maxLength];
        int n = 0;
        for (int i = 0; i < inputIds.length; i++) {
            if (sequenceIds[i] < 0 || left[(int) sequenceIds[i]]-- > 0) {
                ids[n] = inputIds[i];
                types[n++] = tokenTypeIds[i];
            }
        }
        return new Encoding(ids, types, true);
    }

    private int[] ints(long[] values) {
        int[] ints = new int[values.length];
        for (int i = 0; i < ints.length; i++) {
            if (values[i] > Integer.MAX_VALUE) {
                throw new InputException(file, "", "the token id " + values[i], "ids below 2^31");
            }
            ints[i] = (int) values[i];
        }
        return ints;
    }

    /** The text of token ids, without special tokens. */
    public String decode(int... ids) {
        return LIBRARY.decode(handle(), IntStream.of(ids).asLongStream().toArray(), true);
    }

    /** The most UTF-16 characters that a text may have that is to be tokenized whole. */
    int longestText() {
        return longestText;
    }

    /** The end-of-sequence token, if the folder names one. */
    public OptionalInt eosTokenId() {
        return eosTokenId;
    }

    private long handle() {
        long open = handle.get();
        if (open == 0) {
            throw new IllegalStateException("The tokenizer is closed");
        }
        return open;
    }

    @Override
    public void close() {
        long open = handle.getAndSet(0);
        if (open != 0) {
            LIBRARY.deleteTokenizer(open);
        }
    }
}

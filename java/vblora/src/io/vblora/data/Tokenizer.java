package io.vblora.data;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import ai.djl.huggingface.tokenizers.jni.LibUtils;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import ai.djl.util.Platform;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.InputException;
import io.vblora.JsonFields;
import io.vblora.kernels.NativeLibraryException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Text to token ids and back by a Hugging Face {@code tokenizer.json}, through DJL's binding of the tokenizers library.
 * Truncation and padding that the file may ask for are off. Nothing is fetched from a network. Thread-safe until
 * closed.
 */
public final class Tokenizer implements AutoCloseable {
    private static final String FILE_NAME = "tokenizer.json";

    private final Path file;
    private final HuggingFaceTokenizer tokenizer;
    private final OptionalInt eosTokenId;

    private Tokenizer(Path file, HuggingFaceTokenizer tokenizer, OptionalInt eosTokenId) {
        this.file = file;
        this.tokenizer = tokenizer;
        this.eosTokenId = eosTokenId;
    }

    /**
     * Opens {@code tokenizer.json} and, for the end-of-sequence token, {@code tokenizer_config.json},
     * {@code special_tokens_map.json} and {@code config.json} of the same folder, whichever knows it first.
     *
     * @param path a model folder, or the {@code tokenizer.json} itself
     * @throws InputException if a file is missing or cannot be used
     * @throws NativeLibraryException if the tokenizers' native library cannot be loaded
     */
    public static Tokenizer open(Path path) {
        Path file = Files.isDirectory(path) ? path.resolve(FILE_NAME) : path;
        if (!Files.isRegularFile(file)) {
            throw new InputException(file, "", Files.isDirectory(file) ? "a folder"
                    : Files.exists(file) ? "not a regular file" : "no such file",
                    "a tokenizer in Hugging Face's format, " + FILE_NAME);
        }
        byte[] content;
        try {
            content = Files.readAllBytes(file);
        } catch (IOException e) {
            throw new UncheckedIOException(file + " could not be read: " + e.getMessage(), e);
        }
        ObjectNode json = JsonFields.parse(file.toString(), content).object();
        TokenizerCheck.check(file, json);
        OptionalInt eosTokenId = findEosTokenId(file.toAbsolutePath().getParent(), json);
        return new Tokenizer(file, open(file, content), eosTokenId);
    }

    /**
     * Loads the native library, which opening a tokenizer does by itself.
     *
     * @return its version and platform
     * @throws NativeLibraryException if that fails
     */
    public static String loadLibrary() {
        // Without this DJL looks for a cloud's metadata service, reports home, and fetches libraries for CUDA
        System.setProperty("ai.djl.offline", "true");
        try {
            LibUtils.checkStatus();
            Platform platform = Platform.detectPlatform("tokenizers");
            return platform.getVersion() + " " + platform.getClassifier();
        } catch (LinkageError | RuntimeException e) {
            throw new NativeLibraryException("The native library of the tokenizers could not be loaded. It is unpacked "
                    + "to the folder that the environment variable DJL_CACHE_DIR names, by default ~/.djl.ai. Cause: "
                    + rootMessage(e), e);
        }
    }

    private static HuggingFaceTokenizer open(Path file, byte[] content) {
        loadLibrary();
        try {
            return HuggingFaceTokenizer.newInstance(new ByteArrayInputStream(content),
                    Map.of("truncation", "false", "padding", "false"));
        } catch (IOException | RuntimeException e) {
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
            if (Files.isRegularFile(file)) {
                JsonNode token = JsonFields.read(file).object().path("eos_token");
                String content = (token.isObject() ? token.path("content") : token).asText("");
                if (!content.isEmpty()) {
                    return OptionalInt.of(tokenId(file, content, tokenizer));
                }
            }
        }
        Path file = folder.resolve("config.json");
        if (Files.isRegularFile(file)) {
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
     * A tokenized text or pair of texts, special tokens among them.
     *
     * @param inputIds token ids, [length]
     * @param tokenTypeIds which of the texts each token belongs to, as the file's post-processor has it, [length]
     * @param truncated whether tokens were left out
     */
    public record Encoding(int[] inputIds, int[] tokenTypeIds, boolean truncated) {}

    /**
     * Tokenizes a text or a pair of texts. What is longer than {@code maxLength} tokens loses tokens from the ends of
     * its texts, never special ones, the longer text first, as Hugging Face's {@code longest_first} has it.
     *
     * @param pair the second text; null if there is none
     * @param maxLength tokens at most, special ones included
     * @throws InputException if the tokenizer cannot express the text, or no more than special tokens fit
     */
    public Encoding encode(String text, String pair, int maxLength) {
        // The library's own functions: DJL's encode fetches much more, and its batchEncode aborts the process where a
        // text cannot be expressed.
        TokenizersLibrary library = TokenizersLibrary.LIB;
        long handle = tokenizer.getHandle();
        long encoding;
        try {
            encoding = pair == null ? library.encode(handle, text, true)
                    : library.encodeDual(handle, text, pair, true);
        } catch (RuntimeException e) {
            throw new InputException(file.toString(), "", "a text that it cannot encode (" + rootMessage(e) + ")",
                    "a tokenizer that has a token for anything unknown", e);
        }
        try {
            int[] inputIds = ints(library.getTokenIds(encoding));
            int[] tokenTypeIds = ints(library.getTypeIds(encoding));
            return inputIds.length <= maxLength ? new Encoding(inputIds, tokenTypeIds, false)
                    : truncated(inputIds, tokenTypeIds, library.getSequenceIds(encoding), maxLength);
        } finally {
            library.deleteEncoding(encoding);
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
        // The longer text is cut to what the shorter leaves; where that is less than the shorter has, they share.
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

    /** The text of token ids, special tokens left out. */
    public String decode(int... ids) {
        return tokenizer.decode(IntStream.of(ids).asLongStream().toArray(), true);
    }

    /** The end-of-sequence token, where the folder names one. */
    public OptionalInt eosTokenId() {
        return eosTokenId;
    }

    @Override
    public void close() {
        tokenizer.close();
    }
}

package io.vblora.adapter;

import io.vblora.InputException;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * A regular expression over paths of modules, written for Python's {@code re}. A match takes a bounded number of steps:
 * an expression that backtracks without end is refused when it does so. Immutable.
 */
final class ModulePattern {
    /**
     * The largest number of steps of a match: characters that are looked at, groups and alternatives that are tried,
     * and repetitions that are left. Expressions in use take some hundreds.
     */
    private static final int MAX_STEPS = 1_000_000;

    private final String source;
    private final String field;
    private final String regex;
    private final Pattern pattern;

    private ModulePattern(String source, String field, String regex, Pattern pattern) {
        this.source = source;
        this.field = field;
        this.regex = regex;
        this.pattern = pattern;
    }

    /**
     * Compiles an expression.
     *
     * @param source the file or option that holds it, for messages
     * @param field the field that holds it
     * @throws InputException if it is not a regular expression, has a part that Python does not know, or is nested too
     *         deeply
     */
    static ModulePattern compile(String source, String field, String regex) {
        return compile(source, field, regex, "", "");
    }

    /**
     * Compiles an expression between two others.
     *
     * @param before what stands before it
     * @param after what stands after it
     */
    static ModulePattern compile(String source, String field, String regex, String before, String after) {
        // Of the common spellings, only that of Python's named groups is different in Java.
        String java = regex.replace("(?P<", "(?<");
        try {
            Pattern.compile(java);
            return new ModulePattern(source, field, regex,
                    Pattern.compile(before + CountableRegex.marked(java) + after, Pattern.UNIX_LINES));
        } catch (PatternSyntaxException e) {
            throw new InputException(source, field, quoted(regex),
                    "a regular expression (" + e.getDescription() + ")", e);
        } catch (StackOverflowError e) {
            throw new InputException(source, field, quoted(regex), "a regular expression of fewer levels", e);
        }
    }

    /** The expression as it was given. */
    String regex() {
        return regex;
    }

    /**
     * Whether it matches the whole of a path, as Python's {@code re.fullmatch}.
     *
     * @throws InputException if finding that out takes too many steps
     */
    boolean matchesAll(String path) {
        return find(path, matcher(path)::matches);
    }

    /**
     * The match at the beginning of a path, as Python's {@code re.match}; null if there is none.
     *
     * @throws InputException if finding that out takes too many steps
     */
    MatchResult matchStart(String path) {
        Matcher matcher = matcher(path);
        return find(path, matcher::lookingAt) ? matcher.toMatchResult() : null;
    }

    private Matcher matcher(String path) {
        return pattern.matcher(new Counted(path)).useTransparentBounds(true);
    }

    @FunctionalInterface
    private interface Search {
        boolean run();
    }

    private boolean find(String path, Search search) {
        try {
            return search.run();
        } catch (TooManySteps | StackOverflowError e) {
            throw new InputException(source, field, quoted(regex) + ", which takes too many steps to match " + path,
                    "a regular expression without repetitions within repetitions", e);
        }
    }

    private static String quoted(String regex) {
        return '"' + (regex.length() > 200 ? regex.substring(0, 200) + "..." : regex) + '"';
    }

    private static final class TooManySteps extends RuntimeException {
        TooManySteps() {
            super("more than " + MAX_STEPS + " steps", null, false, false);
        }
    }

    /** A path that counts how often a matcher looks at one of its characters, or asks for its length at a mark. */
    private static final class Counted implements CharSequence {
        private final String path;
        private int steps;

        Counted(String path) {
            this.path = path;
        }

        @Override
        public int length() {
            count();
            return path.length();
        }

        @Override
        public char charAt(int index) {
            count();
            return path.charAt(index);
        }

        private void count() {
            if (++steps > MAX_STEPS) {
                throw new TooManySteps();
            }
        }

        @Override
        public CharSequence subSequence(int start, int end) {
            return path.substring(start, end);
        }

        @Override
        public String toString() {
            return path;
        }
    }
}

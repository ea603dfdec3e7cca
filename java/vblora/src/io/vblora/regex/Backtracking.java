package io.vblora.regex;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;

/**
 * Bounds how often an engine that backtracks steps back in one attempt to match an expression, per character of the
 * text. An expression that cannot be shown to be linear is refused, although it may be linear all the same.
 *
 * <p>The expression becomes an automaton whose states are its characters. Once an engine has read a character after
 * which nothing more has to match, it never steps back past it; such a state is called safe. It may leave any other
 * state again to try another way. Whatever the text, the number of ways through these states is bounded if each of
 * their loops can tell at every character how it goes on, and if no two loops on one way have a character in common,
 * because the text then shows where the first of them is left. Ways are counted without regard to characters, so the
 * count is too high rather than too low.
 */
public final class Backtracking {
    private static final int MAX_LENGTH = 10_000;
    private static final int MAX_STATES = 500;
    /** Counting of ways stops here, far beyond what is allowed. */
    private static final long MANY = 1L << 40;
    private static final long MAX_WAYS = 100_000;

    private static final int ACCEPT = 0;

    private final List<CharacterSet> characters = new ArrayList<>();
    private final List<int[]> next = new ArrayList<>();
    private final List<Boolean> assertions = new ArrayList<>();
    /** Assertions that contain a loop; none of them may follow another. */
    private final BitSet loops = new BitSet();
    private long most;

    private Backtracking() {
        add(null, false);
    }

    /**
     * The most steps back per character of the text; 0 if their number does not depend on the text's length.
     *
     * @throws IllegalArgumentException saying what is not understood, or not linear
     */
    public static long stepsPerCharacter(String regex) {
        if (regex.length() > MAX_LENGTH) {
            throw new IllegalArgumentException("more than " + MAX_LENGTH + " characters");
        }
        return stepsPerCharacter(RegexParser.parse(regex));
    }

    private static long stepsPerCharacter(Regex regex) {
        Backtracking automaton = new Backtracking();
        int start = automaton.build(regex, ACCEPT);
        return Math.max(automaton.most, automaton.analyse(start));
    }

    private int add(CharacterSet set, boolean assertion, int... following) {
        if (next.size() > MAX_STATES) {
            throw new IllegalArgumentException("more than " + MAX_STATES + " characters and ways, written out");
        }
        characters.add(set);
        assertions.add(assertion);
        next.add(following);
        return next.size() - 1;
    }

    /** The state at which an expression begins, given the state {@code end} that follows it. */
    private int build(Regex regex, int end) {
        if (regex instanceof Regex.One one) {
            return add(one.set(), false, end);
        }
        if (regex instanceof Regex.Sequence sequence) {
            int state = end;
            for (int i = sequence.parts().size() - 1; i >= 0; i--) {
                state = build(sequence.parts().get(i), state);
            }
            return state;
        }
        if (regex instanceof Regex.Choice choice) {
            return add(null, false, choice.ways().stream().mapToInt(way -> build(way, end)).toArray());
        }
        if (regex instanceof Regex.Repeat repeat) {
            return build(repeat, end);
        }
        Regex.Assertion assertion = (Regex.Assertion) regex;
        int state = add(null, true, end);
        if (assertion.body() != null) {
            most = Math.max(most, stepsPerCharacter(assertion.body()));
            loops.set(state, assertion.body().isUnbounded());
            if (assertion.behind() && assertion.body().isUnbounded()) {
                throw new IllegalArgumentException("a loop that looks behind");
            }
        }
        return state;
    }

    private int build(Regex.Repeat repeat, int end) {
        Regex body = repeat.body();
        int state = end;
        if (repeat.max() == Regex.Repeat.UNBOUNDED) {
            if (body.isNullable()) {
                throw new IllegalArgumentException("a loop around what may be empty");
            }
            int loop = add(null, false);
            int begin = build(body, loop);
            next.set(loop, new int[] {begin, end});
            state = repeat.min() == 0 ? loop : begin;
        } else {
            for (int i = repeat.min(); i < repeat.max(); i++) {
                state = add(null, false, build(body, state), end);
            }
        }
        int copies = repeat.max() == Regex.Repeat.UNBOUNDED ? repeat.min() - 1 : repeat.min();
        for (int i = 0; i < copies; i++) {
            state = build(body, state);
        }
        return state;
    }

    /** The characters that may follow a state, each with the number of ways to reach it. */
    private Map<Integer, Long> following(int state, Map<Integer, Map<Integer, Long>> known) {
        Map<Integer, Long> following = known.get(state);
        if (following == null) {
            following = new HashMap<>();
            if (characters.get(state) != null) {
                following.put(state, 1L);
            } else {
                for (int target : next.get(state)) {
                    for (Map.Entry<Integer, Long> e : following(target, known).entrySet()) {
                        following.merge(e.getKey(), e.getValue(), (a, b) -> Math.min(MANY, a + b));
                    }
                }
            }
            known.put(state, following);
        }
        return following;
    }

    /** The states after which nothing more needs to match. */
    private BitSet accepting() {
        BitSet accepting = new BitSet();
        accepting.set(ACCEPT);
        spread(accepting, state -> characters.get(state) == null && !assertions.get(state));
        return accepting;
    }

    /** The states at which an assertion with a loop stands or may be met before the next character. */
    private BitSet meetingLoops() {
        BitSet meeting = (BitSet) loops.clone();
        spread(meeting, state -> characters.get(state) == null);
        return meeting;
    }

    /** Adds states of a kind that may directly follow a state of the set, in turn, until no more are found. */
    private void spread(BitSet set, IntPredicate kind) {
        for (int before = -1; before < set.cardinality();) {
            before = set.cardinality();
            for (int state = 0; state < next.size(); state++) {
                if (kind.test(state) && IntStream.of(next.get(state)).anyMatch(set::get)) {
                    set.set(state);
                }
            }
        }
    }

    private long analyse(int start) {
        int n = next.size();
        Map<Integer, Map<Integer, Long>> known = new HashMap<>();
        Map<Integer, Long> first = following(start, known);
        List<Map<Integer, Long>> edges = new ArrayList<>();
        BitSet accepting = accepting();
        BitSet meetingLoops = meetingLoops();
        BitSet safe = new BitSet();
        for (int c = 0; c < n; c++) {
            boolean isCharacter = characters.get(c) != null;
            edges.add(isCharacter ? following(next.get(c)[0], known) : Map.of());
            safe.set(c, isCharacter && accepting.get(next.get(c)[0]));
        }
        BitSet[] reach = new BitSet[n];
        BitSet[] unsafeReach = new BitSet[n];
        for (int c = 0; c < n; c++) {
            reach[c] = reached(c, edges, new BitSet());
            unsafeReach[c] = reached(c, edges, safe);
        }
        for (int c = 0; c < n; c++) {
            if (characters.get(c) != null) {
                check(c, edges, safe, reach, unsafeReach);
                if (isInOrAfterLoop(c, reach) && meetingLoops.get(next.get(c)[0])) {
                    throw new IllegalArgumentException("a loop that looks ahead after another loop");
                }
            }
        }
        return count(first, edges, safe, reach, unsafeReach);
    }

    /** The states that are reached in one step or more without entering those that are left out. */
    private BitSet reached(int from, List<Map<Integer, Long>> edges, BitSet leftOut) {
        BitSet reached = new BitSet();
        Deque<Integer> open = new ArrayDeque<>(List.of(from));
        while (!open.isEmpty()) {
            for (int target : edges.get(open.pop()).keySet()) {
                if (!leftOut.get(target) && !reached.get(target)) {
                    reached.set(target);
                    open.push(target);
                }
            }
        }
        return reached;
    }

    private void check(int c, List<Map<Integer, Long>> edges, BitSet safe, BitSet[] reach, BitSet[] unsafeReach) {
        boolean loop = !safe.get(c) && unsafeReach[c].get(c);
        for (int d = unsafeReach[c].nextSetBit(0); d >= 0; d = unsafeReach[c].nextSetBit(d + 1)) {
            boolean together = unsafeReach[d].get(c);
            if (safe.get(c) && reach[c].get(c) && unsafeReach[d].get(d)) {
                throw new IllegalArgumentException("a loop within a loop");
            }
            if (loop && unsafeReach[d].get(d) && !together && characters.get(c).mayMeet(characters.get(d))) {
                throw new IllegalArgumentException("two loops of which the second may read what the first does");
            }
            if (loop && together && edges.get(c).containsKey(d)) {
                checkFork(c, d, edges.get(c), unsafeReach);
            }
        }
    }

    private static boolean isInOrAfterLoop(int c, BitSet[] reach) {
        return IntStream.range(0, reach.length).anyMatch(b -> reach[b].get(b) && reach[b].get(c));
    }

    /**
     * Refuses a loop that can go on from {@code c} to {@code d} in two ways, or by the same character to another of its
     * states.
     */
    private void checkFork(int c, int d, Map<Integer, Long> following, BitSet[] unsafeReach) {
        for (Map.Entry<Integer, Long> other : following.entrySet()) {
            int e = other.getKey();
            if (e == d ? other.getValue() > 1 : unsafeReach[c].get(e) && unsafeReach[e].get(c)
                    && characters.get(d).mayMeet(characters.get(e))) {
                throw new IllegalArgumentException("a loop that reads a text in more than one way");
            }
        }
    }

    /** The number of ways that an engine may have begun when it leaves a loop, times what it tries then. */
    private long count(Map<Integer, Long> first, List<Map<Integer, Long>> edges, BitSet safe, BitSet[] reach,
            BitSet[] unsafeReach) {
        long[] tries = new long[edges.size()];
        long[] ways = new long[edges.size()];
        long all = first.values().stream().reduce(0L, (a, b) -> Math.min(MANY, a + b));
        long perCharacter = 0;
        long perSafeCharacter = 0;
        for (int c = 0; c < ways.length; c++) {
            if (characters.get(c) == null) {
                continue;
            }
            tries(c, edges, safe, reach, unsafeReach, tries);
            if (safe.get(c)) {
                perSafeCharacter = Math.max(perSafeCharacter, reach[c].get(c) ? tries[c] : 0);
                continue;
            }
            ways(c, first, edges, safe, unsafeReach, ways);
            long product = ways[c] == 0 || tries[c] <= MANY / ways[c] ? ways[c] * tries[c] : MANY;
            all = Math.min(MANY, all + product);
            perCharacter = Math.min(MANY, perCharacter + (unsafeReach[c].get(c) ? product : 0));
        }
        if (all > MAX_WAYS) {
            throw new IllegalArgumentException("too many ways");
        }
        return Math.max(perCharacter, most) + perSafeCharacter;
    }

    /**
     * All that is tried after a character; for a safe one, within its own loop, since what follows is tried only once.
     */
    private long tries(int c, List<Map<Integer, Long>> edges, BitSet safe, BitSet[] reach, BitSet[] unsafeReach,
            long[] known) {
        if (known[c] == 0) {
            long tries = 1;
            for (Map.Entry<Integer, Long> e : edges.get(c).entrySet()) {
                int d = e.getKey();
                boolean sameLoop = unsafeReach[c].get(d) && unsafeReach[d].get(c);
                if (!safe.get(c) || reach[d].get(c)) {
                    long each = safe.get(d) || sameLoop && !safe.get(c) ? 1
                            : tries(d, edges, safe, reach, unsafeReach, known);
                    tries = Math.min(MANY, tries + (each > MANY / e.getValue() ? MANY : each * e.getValue()));
                }
            }
            known[c] = tries;
        }
        return known[c];
    }

    /** Ways from the beginning to a state that is not safe, where a whole loop counts as one step. */
    private long ways(int c, Map<Integer, Long> first, List<Map<Integer, Long>> edges, BitSet safe,
            BitSet[] unsafeReach, long[] known) {
        if (known[c] == 0) {
            long ways = first.getOrDefault(c, 0L);
            for (int b = 0; b < known.length; b++) {
                boolean sameLoop = unsafeReach[c].get(b) && unsafeReach[b].get(c);
                long steps = edges.get(b).getOrDefault(c, 0L);
                if (steps > 0 && !safe.get(b) && !sameLoop) {
                    long before = ways(b, first, edges, safe, unsafeReach, known);
                    ways = Math.min(MANY, ways + (before > MANY / steps ? MANY : before * steps));
                }
            }
            known[c] = ways;
        }
        return known[c];
    }
}

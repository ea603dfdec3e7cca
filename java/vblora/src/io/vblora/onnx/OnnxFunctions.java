package io.vblora.onnx;

/** Functions of one number that operators compute, in float64. */
public final class OnnxFunctions {
    private OnnxFunctions() {}

    /** Approximation 7.1.26 of Abramowitz and Stegun, exact to 1.5e-7. */
    static double erf(double x) {
        double t = 1 / (1 + 0.3275911 * Math.abs(x));
        double p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
        return Math.copySign(1 - p * Math.exp(-x * x), x);
    }

    /** x · Φ(x), exact to 1e-7 |x|. */
    public static double gelu(double x) {
        return x / 2 * (1 + erf(x / Math.sqrt(2)));
    }

    /** The approximation of {@link #gelu} by tanh that models use. */
    public static double geluTanh(double x) {
        return x / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
    }
}

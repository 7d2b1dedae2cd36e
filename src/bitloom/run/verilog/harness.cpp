// Runs one Verilated design: sends input tensors, takes output tensors, records every inner stream.
//
//     simulate STALL SEED PATIENCE
//
// STALL is the probability, in 2^-32, with which each producer and each consumer pauses in a cycle. A producer that
// has offered a beat keeps offering it, unchanged, and so must the design. A job fails when no beat moves anywhere for
// PATIENCE cycles.
//
// The design is reset once. Each line of standard input is a job: a number of inferences to send back to back. The
// answer is a line "done"; if something is wrong, it is said on standard error and the program ends.
//
// Files, in the working folder; words are 32 bits, host byte order, a beat's lowest bits first:
//     source<i>.words   beats to send on input i                 (read)
//     source<i>.cycles  64 bits per tensor: its first beat       (written)
//     sink<i>.words     beats taken from output i                (written)
//     sink<i>.cycles    64 bits per tensor: its last beat        (written)
//     tap<i>.words      beats that moved on inner stream i       (written)
//
// "design.h" is generated for the design: it names the Verilated class and its ports (see verilator.py).

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "Vdesign.h"
#include "verilated.h"
#include "verilated_syms.h"

namespace {

// Cycles of reset before the first beat.
constexpr int RESET_CYCLES = 8;

[[noreturn]] void fail(const std::string& message) {
    std::fprintf(stderr, "%s\n", message.c_str());
    std::exit(1);
}

// A signal of any width. Verilator keeps it in 1, 2, 4, 8 bytes or an array of 32-bit words, lowest bits first.
struct Signal {
    void* place = nullptr;
    size_t bytes = 0;

    bool high() const { return *static_cast<const uint8_t*>(place) != 0; }
    void set(bool level) const { *static_cast<uint8_t*>(place) = level; }
    size_t words() const { return (bytes + 3) / 4; }
    void clear() const { std::memset(place, 0, bytes); }
    void load(const uint32_t* words) const { std::memcpy(place, words, bytes); }
    void store(uint32_t* words) const { std::memcpy(words, place, bytes); }
};

template <typename Port>
Signal port(Port& member) {
    return {&member, sizeof member};
}

class File {
public:
    File(const std::string& name, const char* mode) : m_name{name}, m_file{std::fopen(name.c_str(), mode)} {
        if (!m_file) fail(name + ": cannot be opened");
    }
    File(File&& other) noexcept : m_name{std::move(other.m_name)}, m_file{other.m_file} { other.m_file = nullptr; }
    ~File() {
        if (m_file) std::fclose(m_file);
    }
    void read(void* place, size_t bytes) {
        if (std::fread(place, 1, bytes, m_file) != bytes) fail(m_name + ": ends too early");
    }
    void write(const void* place, size_t bytes) {
        if (std::fwrite(place, 1, bytes, m_file) != bytes) fail(m_name + ": cannot be written");
    }
    void flush() {
        if (std::fflush(m_file)) fail(m_name + ": cannot be written");
    }

private:
    std::string m_name;
    std::FILE* m_file;
};

// xorshift64* (Marsaglia 2003; Vigna 2016).
class Random {
public:
    explicit Random(uint64_t seed) : m_state{(seed + 1) * 0x9E3779B97F4A7C15u | 1u} {}
    bool chance(uint64_t in_2_to_32) {
        m_state ^= m_state >> 12;
        m_state ^= m_state << 25;
        m_state ^= m_state >> 27;
        return (m_state * 0x2545F4914F6CDD1Du >> 32) < in_2_to_32;
    }

private:
    uint64_t m_state;
};

struct Handshake {
    std::string name;
    uint64_t beats;  // per tensor
    Signal data, valid, ready, last;  // an inner stream has no `last`
};

// A stream, and how much of it has moved.
class Stream {
public:
    Stream(const Handshake& signals, uint64_t inferences, const std::string& file, const char* mode)
        : m_signals{signals}, m_total{inferences * signals.beats}, m_words(signals.data.words()),
          m_held(signals.data.words()), m_data{file, mode} {}

    bool transfer() const { return m_signals.valid.high() && m_signals.ready.high(); }
    bool done() const { return m_moved == m_total; }
    std::string progress() const {
        return m_signals.name + " " + std::to_string(m_moved) + "/" + std::to_string(m_total) + " beats (valid "
               + (m_signals.valid.high() ? "1" : "0") + ", ready " + (m_signals.ready.high() ? "1" : "0") + ")";
    }
    // While a beat is offered and not taken, it stays as it is.
    void check_stability() {
        if (m_waiting) {
            m_signals.data.store(m_words.data());
            if (!m_signals.valid.high() || m_words != m_held) fail(m_signals.name + " changed while it waited");
        }
        m_waiting = m_signals.valid.high() && !m_signals.ready.high();
        if (m_waiting) m_signals.data.store(m_held.data());
    }
    void finish() { m_data.flush(); }

protected:
    bool ends() const { return m_moved % m_signals.beats == m_signals.beats - 1; }
    bool starts() const { return m_moved % m_signals.beats == 0; }
    void record() {
        if (done()) fail(m_signals.name + " gives more beats than the inputs account for");
        m_signals.data.store(m_words.data());
        m_data.write(m_words.data(), 4 * m_words.size());
    }

    Handshake m_signals;
    uint64_t m_total;
    uint64_t m_moved = 0;
    std::vector<uint32_t> m_words, m_held;
    bool m_waiting = false;
    File m_data;
};

class Source : public Stream {
public:
    Source(const Handshake& signals, uint64_t inferences, const std::string& name)
        : Stream{signals, inferences, name + ".words", "rb"}, m_cycles{name + ".cycles", "wb"} {}

    void offer(bool pause) {
        if (m_offered || done() || pause) return;
        m_data.read(m_words.data(), 4 * m_words.size());
        m_signals.data.load(m_words.data());
        m_signals.last.set(ends());
        m_signals.valid.set(true);
        m_offered = true;
    }
    // After an accepted beat the wires carry nothing meaningful.
    bool sample(uint64_t cycle) {
        if (!transfer()) return false;
        if (starts()) m_cycles.write(&cycle, sizeof cycle);
        ++m_moved;
        m_accepted = true;
        return true;
    }
    void withdraw() {
        if (!m_accepted) return;
        m_accepted = m_offered = false;
        m_signals.valid.set(false);
        m_signals.last.set(false);
        m_signals.data.clear();
    }
    void finish() { m_cycles.flush(); }

private:
    File m_cycles;
    bool m_offered = false;
    bool m_accepted = false;
};

class Sink : public Stream {
public:
    Sink(const Handshake& signals, uint64_t inferences, const std::string& name)
        : Stream{signals, inferences, name + ".words", "wb"}, m_cycles{name + ".cycles", "wb"} {}

    void accept(bool pause) { m_signals.ready.set(!pause); }
    bool sample(uint64_t cycle) {
        if (!transfer()) return false;
        record();
        if (m_signals.last.high() != ends())
            fail(m_signals.name + ": 'last' is " + (ends() ? "missing on" : "early, on") + " beat "
                 + std::to_string(m_moved % m_signals.beats) + " of inference "
                 + std::to_string(m_moved / m_signals.beats));
        if (ends()) m_cycles.write(&cycle, sizeof cycle);
        ++m_moved;
        return true;
    }
    void finish() {
        Stream::finish();
        m_cycles.flush();
    }

private:
    File m_cycles;
};

class Tap : public Stream {
public:
    Tap(const Handshake& signals, uint64_t inferences, const std::string& name)
        : Stream{signals, inferences, name + ".words", "wb"} {}

    bool sample() {
        if (!transfer()) return false;
        record();
        ++m_moved;
        return true;
    }
};

// An inner signal that the control file keeps visible, by its name in the Verilog.
Signal inner(VerilatedContext& context, const char* scope_name, const std::string& name) {
    const VerilatedScope* scope = context.scopeFind(scope_name);
    const VerilatedVar* variable = scope ? scope->varFind(name.c_str()) : nullptr;
    if (!variable) fail(std::string{scope_name} + "." + name + ": no such signal");
    return {variable->datap(), variable->totalSize()};
}

Handshake inner_stream(VerilatedContext& context, const char* scope, const std::string& name, uint64_t beats) {
    return {name, beats, inner(context, scope, name + "_data"), inner(context, scope, name + "_valid"),
            inner(context, scope, name + "_ready"), Signal{}};
}

#include "design.h"

class Bench {
public:
    Bench(uint64_t stall, uint64_t seed, uint64_t patience) : m_stall{stall}, m_patience{patience}, m_random{seed} {
        // Registers without a reset wake up with random contents: nothing may depend on them.
        m_context.randReset(2);
        m_context.randSeed(static_cast<int>(seed % 0x7FFFFFFF) + 1);
        m_design.reset(new Vdesign{&m_context});
        m_design->eval();
        for (const Signal& signal : tied_low(*m_design)) signal.clear();
        for (const Handshake& signals : sources(*m_design))
            for (const Signal& signal : {signals.data, signals.valid, signals.last}) signal.clear();
        for (const Handshake& signals : sinks(*m_design)) signals.ready.clear();
        reset();
    }
    ~Bench() { m_design->final(); }

    void run(uint64_t inferences) {
        begin(inferences);
        while (!done()) {
            for (Source& source : m_sources) source.offer(m_random.chance(m_stall));
            for (Sink& sink : m_sinks) sink.accept(m_random.chance(m_stall));
            m_design->aclk = 0;
            m_design->eval();
            sample();
            m_design->aclk = 1;
            m_design->eval();
            for (Source& source : m_sources) source.withdraw();
            ++m_cycle;
        }
        for (Source& source : m_sources) source.finish();
        for (Sink& sink : m_sinks) sink.finish();
        for (Tap& tap : m_taps) tap.finish();
    }

private:
    void reset() {
        m_design->aresetn = 0;
        for (int cycle = 0; cycle < RESET_CYCLES; ++cycle) {
            m_design->aclk = 0;
            m_design->eval();
            m_design->aclk = 1;
            m_design->eval();
        }
        m_design->aresetn = 1;
    }

    void begin(uint64_t inferences) {
        m_sources.clear();
        m_sinks.clear();
        m_taps.clear();
        m_idle = 0;
        for (const Handshake& signals : sources(*m_design))
            m_sources.emplace_back(signals, inferences, "source" + std::to_string(m_sources.size()));
        for (const Handshake& signals : sinks(*m_design))
            m_sinks.emplace_back(signals, inferences, "sink" + std::to_string(m_sinks.size()));
        for (const Handshake& signals : taps(m_context))
            m_taps.emplace_back(signals, inferences, "tap" + std::to_string(m_taps.size()));
    }

    // What moves at the coming clock edge.
    void sample() {
        for (Tap& tap : m_taps) tap.check_stability();
        for (Sink& sink : m_sinks) sink.check_stability();
        bool moved = false;
        for (Source& source : m_sources) moved |= source.sample(m_cycle);
        for (Tap& tap : m_taps) moved |= tap.sample();
        for (Sink& sink : m_sinks) moved |= sink.sample(m_cycle);
        m_idle = moved ? 0 : m_idle + 1;
        if (m_idle >= m_patience)
            fail("no beat moved for " + std::to_string(m_idle) + " cycles until cycle " + std::to_string(m_cycle) + ": "
                 + progress());
    }

    // Everywhere: beats that no output depends on, as those a slice leaves out, may come after the last output.
    bool done() const {
        const auto all = [](const auto& streams) {
            return std::all_of(streams.begin(), streams.end(), [](const Stream& stream) { return stream.done(); });
        };
        return all(m_sinks) && all(m_taps) && all(m_sources);
    }

    std::string progress() const {
        std::string text;
        for (const Source& source : m_sources) text += source.progress() + ", ";
        for (const Tap& tap : m_taps) text += tap.progress() + ", ";
        for (const Sink& sink : m_sinks) text += sink.progress() + ", ";
        return text.substr(0, text.size() - 2);
    }

    uint64_t m_stall, m_patience;
    Random m_random;
    VerilatedContext m_context;
    std::unique_ptr<Vdesign> m_design;
    std::vector<Source> m_sources;
    std::vector<Sink> m_sinks;
    std::vector<Tap> m_taps;
    uint64_t m_cycle = 0;
    uint64_t m_idle = 0;
};

}  // namespace

int main(int count, char** arguments) {
    if (count != 4) fail("usage: simulate STALL SEED PATIENCE");
    const auto number = [&](int index) { return std::strtoull(arguments[index], nullptr, 10); };
    Bench bench{number(1), number(2), number(3)};
    unsigned long long inferences = 0;
    while (std::scanf("%llu", &inferences) == 1) {
        bench.run(inferences);
        std::puts("done");
        std::fflush(stdout);
    }
    return 0;
}

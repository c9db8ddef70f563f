// Searching rows where they lie, in memory or in mapped files; called by native.py through ctypes, without the GIL.
//
// Graphs are files of hnswlib 0.8 (HierarchicalNSW::saveIndex) without the rows' values (graphs.py), behind a read-only
// mapping, so that processes share their pages; nothing here builds one. The search is algorithms 2 and 5 of Malkov,
// Yashunin: Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small World graphs.
// Every distance that leaves this file is computed in float64 from the caller's values: sketches of a byte a number only
// decide which rows are looked at.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <queue>
#include <utility>
#include <vector>

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace {

enum Metric : uint32_t { COSINE, L2, IP };

constexpr size_t CHUNK = 32;     // rows that all queries of a batch visit while the cache holds them
constexpr size_t TOGETHER = 16;  // queries of a batch: each may have to remember every row

typedef double Doubles __attribute__((vector_size(32)));
typedef float HalfFloats __attribute__((vector_size(16)));

template <typename Vector>
inline Vector load(const float *at) {
    Vector vector;
    std::memcpy(&vector, at, sizeof vector);
    return vector;
}

// Σ term(aᵢ, bᵢ) in float64: four registers at a time, whose sums do not wait for one another.
template <typename Term>
inline double exact_sum(const float *a, const float *b, size_t count, Term term) {
    Doubles s0 = {}, s1 = {}, s2 = {}, s3 = {};
    auto at = [=](const float *from, size_t i) { return __builtin_convertvector(load<HalfFloats>(from + i), Doubles); };
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        s0 += term(at(a, i), at(b, i));
        s1 += term(at(a, i + 4), at(b, i + 4));
        s2 += term(at(a, i + 8), at(b, i + 8));
        s3 += term(at(a, i + 12), at(b, i + 12));
    }
    Doubles s = (s0 + s1) + (s2 + s3);
    double total = (s[0] + s[2]) + (s[1] + s[3]);
    for (; i < count; i++) total += term(double(a[i]), double(b[i]));
    return total;
}

constexpr auto product = [](auto x, auto y) { return x * y; };
constexpr auto square = [](auto x, auto y) { return (x - y) * (x - y); };

bool holds(const uint64_t *bits, uint64_t row) { return bits[row / 64] >> (row % 64) & 1; }

void prefetch(const void *begin, size_t bytes) {
    for (size_t line = 0; line < bytes; line += 64) __builtin_prefetch((const char *)begin + line);
}

struct Sketch {
    float scale, residual, length;  // row ≈ scale · codes, off by `residual` in Euclidean length
};

class Graph;

}  // namespace

extern "C" {

struct Block {
    const float *values;    // (count, dimension)
    const int8_t *codes;    // (count, dimension)
    const Sketch *sketches;  // (count,)
    uint64_t count;
    uint32_t dimension;
    uint32_t metric;
    Graph *graph;
};

}  // extern "C"

namespace {

double length_of(const float *values, size_t dimension) {
    return std::sqrt(exact_sum(values, values, dimension, product));
}

double exact_distance(const Block *block, const float *query, double length, uint32_t row) {
    const float *values = block->values + size_t(row) * block->dimension;
    if (block->metric == L2) return std::sqrt(exact_sum(query, values, block->dimension, square));
    double dot = exact_sum(query, values, block->dimension, product);
    if (block->metric == IP) return -dot;
    return std::max(0.0, 1.0 - dot / (length * length_of(values, block->dimension)));
}

using Settled = std::vector<std::pair<double, uint32_t>>;

// Writes what is as near as the k-th of `settled`; returns how many that are, negative where there is no room for them.
int64_t write(Settled &settled, size_t k, size_t room, uint32_t *rows, double *distances) {
    std::sort(settled.begin(), settled.end());
    size_t count = std::min(k, settled.size());
    while (count && count < settled.size() && settled[count].first <= settled[k - 1].first) count++;
    if (count > room) return -int64_t(count);
    for (size_t i = 0; i < count; i++) distances[i] = settled[i].first, rows[i] = settled[i].second;
    return int64_t(count);
}

// |values − scale · codes|
template <typename Code>
double residual(const float *values, const Code *codes, double scale, size_t dimension) {
    double squares = 0;
    for (size_t i = 0; i < dimension; i++) squares += square(double(values[i]), scale * codes[i]);
    return std::sqrt(squares);
}

// A query as its own sketch, against those of rows.
class Sketched {
  public:
    Sketched(const Block *block, const float *query) : block_(block) {
        size_t dimension = block->dimension;
        length_ = length_of(query, dimension);
        float most = 0;
        for (size_t i = 0; i < dimension; i++) most = std::max(most, std::fabs(query[i]));
        scale_ = most / double(QUERY_STEPS);
        codes_.resize(dimension);
        for (size_t i = 0; i < dimension; i++) codes_[i] = scale_ ? int16_t(std::lround(query[i] / scale_)) : 0;
        residual_ = residual(query, codes_.data(), scale_, dimension);
    }

    double length() const { return length_; }

    // About the distance to a row, or what grows with it: cosine − 1, the square of l2, ip.
    double key(uint32_t row) const {
        const Sketch &sketch = block_->sketches[row];
        double key = -scale_ * sketch.scale * product_with(row);
        if (block_->metric == COSINE) return key / (length_ * sketch.length);
        if (block_->metric == L2) return length_ * length_ + double(sketch.length) * sketch.length + 2 * key;
        return key;
    }

    // By how much `key` is wrong at most: |q·x − q̃·x̃| ≤ |q||x − x̃| + |q − q̃||x̃|.
    double error(uint32_t row) const {
        const Sketch &sketch = block_->sketches[row];
        double scales = length_ * sketch.length;
        double error = length_ * sketch.residual + residual_ * (sketch.length + sketch.residual) + ROUNDING * scales;
        if (block_->metric == COSINE) return error / scales;
        if (block_->metric == L2)
            return 2 * error + ROUNDING * (length_ * length_ + double(sketch.length) * sketch.length);
        return error;
    }

    double key_of(double distance) const {
        return block_->metric == COSINE ? distance - 1 : block_->metric == L2 ? distance * distance : distance;
    }

  private:
    static constexpr int QUERY_STEPS = 4096;  // times 127 times 4,096 dimensions still fits an int32
    static constexpr double ROUNDING = 1e-6;  // of the sketches' float32 numbers, generously

    int32_t product_with(uint32_t row) const {
        const int8_t *codes = block_->codes + size_t(row) * block_->dimension;
        const int16_t *own = codes_.data();
        int32_t product = 0;
        size_t i = 0, count = block_->dimension;
#ifdef __AVX2__  // compilers widen both to 32 bits before they multiply, which takes twice as long
        __m256i sums[2] = {};
        for (; i + 32 <= count; i += 32)
            for (size_t half = 0; half < 2; half++) {
                __m128i bytes = _mm_loadu_si128((const __m128i *)(codes + i + 16 * half));
                __m256i words = _mm256_loadu_si256((const __m256i *)(own + i + 16 * half));
                sums[half] = _mm256_add_epi32(sums[half], _mm256_madd_epi16(_mm256_cvtepi8_epi16(bytes), words));
            }
        int32_t lanes[8];
        _mm256_storeu_si256((__m256i *)lanes, _mm256_add_epi32(sums[0], sums[1]));
        for (int32_t lane : lanes) product += lane;
#endif
        for (; i < count; i++) product += int32_t(own[i]) * int32_t(codes[i]);
        return product;
    }

    const Block *block_;
    double length_, scale_, residual_;
    std::vector<int16_t> codes_;
};

void prefetch_sketch(const Block *block, uint32_t row) {
    prefetch(block->codes + size_t(row) * block->dimension, block->dimension);
    __builtin_prefetch(block->sketches + row);
}

using Candidates = std::vector<std::pair<float, uint32_t>>;

// Which nodes a search has seen: those with its own number, so that the next search need not clear them.
struct Seen {
    std::vector<uint16_t> numbers;
    uint16_t number = 0;
    bool first_time(uint32_t node) { return numbers[node] != number && (numbers[node] = number, true); }
};

class Graph {
  public:
    // Whether `file` is a graph of the rows of `block`; field by field as saveIndex writes it.
    bool open(const char *file, size_t size, const Block *block) {
        const size_t count = block->count;
        const char *at = file, *end = file + size;
        auto read = [&](auto &field) {
            if (size_t(end - at) < sizeof field) return false;
            std::memcpy(&field, at, sizeof field);
            at += sizeof field;
            return true;
        };
        uint64_t base = 0, capacity = 0, most = 0, most_at_0 = 0, m = 0, ef_construction = 0;
        double multiplier = 0;
        if (!(read(base) && read(capacity) && read(count_) && read(stride_) && read(label_) && read(values_) &&
              read(levels_) && read(entry_) && read(most) && read(most_at_0) && read(m) && read(multiplier) &&
              read(ef_construction)))
            return false;
        block_ = block;
        links_ = (most + 1) * sizeof(uint32_t);
        if (count_ != count || base || values_ != (most_at_0 + 1) * sizeof(uint32_t) || most_at_0 > MOST_LINKS ||
            most > MOST_LINKS || label_ != values_ ||
            stride_ != label_ + sizeof(uint64_t) || entry_ >= count || size_t(end - at) / stride_ < count)
            return false;
        nodes_ = at;
        at += count * stride_;
        rows_.resize(count);
        upper_.resize(count);
        std::vector<uint32_t> levels(count);  // above the lowest
        for (size_t node = 0; node < count; node++) {
            uint64_t label;
            std::memcpy(&label, nodes_ + node * stride_ + label_, sizeof label);
            if (label >= count) return false;
            rows_[node] = uint32_t(label);
            uint32_t bytes;
            if (!read(bytes) || bytes % links_ || size_t(end - at) < bytes) return false;
            if (node == entry_ && bytes != levels_ * links_) return false;
            upper_[node] = at;
            at += bytes;
            levels[node] = bytes / links_;
        }
        return at == end && levels_ >= 0 && links_lead_to_nodes(levels, most, most_at_0);
    }

    // Rows near `query`, in no order; `allowed` may be null. Returns whether the search ended by itself.
    bool search(const Sketched &query, size_t ef, const uint64_t *allowed, size_t budget, std::vector<uint32_t> &found) {
        std::priority_queue<std::pair<float, uint32_t>> best;
        std::priority_queue<std::pair<float, uint32_t>, Candidates, std::greater<>> waiting;
        std::unique_ptr<Seen> seen = take_seen();
        auto distance = [&](uint32_t node) { return float(query.key(rows_[node])); };
        auto offer = [&](float distance, uint32_t node) {
            if (best.size() == ef && distance >= best.top().first) return;
            waiting.emplace(distance, node);
            prefetch(nodes_ + node * stride_, label_);
            if (allowed && !holds(allowed, rows_[node])) return;
            best.emplace(distance, node);
            if (best.size() > ef) best.pop();
        };
        uint32_t entry = descend(distance);
        seen->first_time(entry);
        offer(distance(entry), entry);
        size_t compared = 0;
        while (!waiting.empty() && compared <= budget) {
            auto [nearest, node] = waiting.top();
            if (best.size() == ef && nearest > best.top().first) break;
            waiting.pop();
            uint32_t fresh[MOST_LINKS];
            size_t count = 0;
            const uint32_t *links = (const uint32_t *)(nodes_ + node * stride_);
            for (size_t i = 1, last = length(links); i <= last; i++)
                if (seen->first_time(links[i])) fresh[count++] = links[i];
            for (size_t i = 0; i < std::min(count, AHEAD); i++) prefetch_sketch(block_, rows_[fresh[i]]);
            for (size_t i = 0; i < count; i++) {
                if (i + AHEAD < count) prefetch_sketch(block_, rows_[fresh[i + AHEAD]]);
                offer(distance(fresh[i]), fresh[i]);
            }
            compared += count;
        }
        give_back(std::move(seen));
        for (found.clear(); !best.empty(); best.pop()) found.push_back(rows_[best.top().second]);
        return compared <= budget;
    }

  private:
    static constexpr size_t MOST_LINKS = 1024, AHEAD = 16;

    // A search follows them without looking: every link must be to a node that there is, on a level that it has.
    bool links_lead_to_nodes(const std::vector<uint32_t> &levels, uint64_t most, uint64_t most_at_0) const {
        for (size_t node = 0; node < count_; node++)
            for (uint32_t level = 0; level <= levels[node]; level++) {
                const char *list = level ? upper_[node] + (level - 1) * links_ : nodes_ + node * stride_;
                const uint32_t *links = (const uint32_t *)list;
                size_t last = links[0] & 0xffff;
                if (last > (level ? most : most_at_0)) return false;
                for (size_t i = 1; i <= last; i++)
                    if (links[i] >= count_ || levels[links[i]] < level) return false;
            }
        return true;
    }

    // Of a list of links, which stands before them in two bytes.
    static size_t length(const uint32_t *links) { return std::min<size_t>(links[0] & 0xffff, MOST_LINKS); }

    template <typename Distance>
    uint32_t descend(Distance distance) const {
        uint32_t nearest = entry_;
        float least = distance(nearest);
        for (int32_t level = levels_; level > 0; level--)
            for (bool changed = true; changed;) {
                changed = false;
                const uint32_t *links = (const uint32_t *)(upper_[nearest] + (level - 1) * links_);
                size_t last = length(links);
                for (size_t i = 1; i <= last; i++) prefetch_sketch(block_, rows_[links[i]]);
                for (size_t i = 1; i <= last; i++) {
                    float other = distance(links[i]);
                    if (other < least) least = other, nearest = links[i], changed = true;
                }
            }
        return nearest;
    }

    std::unique_ptr<Seen> take_seen() {
        std::unique_ptr<Seen> seen;
        {
            std::lock_guard<std::mutex> guard(lock_);
            if (!idle_.empty()) seen = std::move(idle_.back()), idle_.pop_back();
        }
        if (!seen) seen = std::make_unique<Seen>();
        if (++seen->number == 0 || seen->numbers.empty()) seen->numbers.assign(count_, 0), seen->number = 1;
        return seen;
    }

    void give_back(std::unique_ptr<Seen> seen) {
        std::lock_guard<std::mutex> guard(lock_);
        idle_.push_back(std::move(seen));
    }

    const char *nodes_ = nullptr;  // links on the lowest level, label: `stride_` bytes a node
    std::vector<const char *> upper_;
    std::vector<uint32_t> rows_;   // of each node
    uint64_t count_ = 0, stride_ = 0, label_ = 0, values_ = 0, links_ = 0;
    int32_t levels_ = 0;
    uint32_t entry_ = 0;
    const Block *block_ = nullptr;
    std::mutex lock_;
    std::vector<std::unique_ptr<Seen>> idle_;
};

// The nearest of the rows that are visited: bounds of each distance decide which of them are compared exactly, nearest
// bound first (Seidl, Kriegel: Optimal multi-step k-nearest neighbor search).
class Scan {
  public:
    Scan(const Block *block, const float *query, size_t k)
        : block_(block), query_(query), k_(k), sketched_(block, query) {}

    const Sketched &sketched() const { return sketched_; }

    void visit(uint32_t row) {
        double key = sketched_.key(row), error = sketched_.error(row);
        if (key - error > bound_) return;
        candidates_.emplace_back(key - error, row);
        if (highest_.size() == k_) {
            if (key + error >= highest_.top()) return;
            highest_.pop();
        }
        highest_.push(key + error);
        if (highest_.size() == k_) bound_ = highest_.top();
    }

    int64_t finish(size_t room, uint32_t *rows, double *distances) {
        std::sort(candidates_.begin(), candidates_.end());
        Settled settled;
        std::priority_queue<double> nearest;
        for (size_t i = 0; i < AHEAD; i++) prefetch_values(i);
        for (size_t i = 0; i < candidates_.size(); i++) {
            prefetch_values(i + AHEAD);
            auto [lowest, row] = candidates_[i];
            if (nearest.size() == k_ && lowest > sketched_.key_of(nearest.top())) break;
            double distance = exact_distance(block_, query_, sketched_.length(), row);
            settled.emplace_back(distance, row);
            nearest.push(distance);
            if (nearest.size() > k_) nearest.pop();
        }
        return write(settled, k_, room, rows, distances);
    }

  private:
    static constexpr size_t AHEAD = 4;

    void prefetch_values(size_t i) const {
        if (i >= candidates_.size()) return;
        size_t dimension = block_->dimension;
        prefetch(block_->values + candidates_[i].second * dimension, dimension * sizeof(float));
    }

    const Block *block_;
    const float *query_;
    size_t k_;
    Sketched sketched_;
    double bound_ = std::numeric_limits<double>::infinity();
    std::priority_queue<double> highest_;
    std::vector<std::pair<double, uint32_t>> candidates_;
};

void visit_all(const Block *block, const uint64_t *allowed, std::vector<Scan> &scans) {
    uint32_t chunk[CHUNK];
    size_t filled = 0;
    auto visit = [&] {
        for (Scan &scan : scans)
            for (size_t i = 0; i < filled; i++) scan.visit(chunk[i]);
        filled = 0;
    };
    for (size_t word = 0; word < (block->count + 63) / 64; word++) {
        for (uint64_t bits = allowed[word]; bits; bits &= bits - 1) {
            chunk[filled++] = uint32_t(word * 64 + __builtin_ctzll(bits));
            prefetch_sketch(block, chunk[filled - 1]);
            if (filled == CHUNK) visit();
        }
    }
    visit();
}

}  // namespace

extern "C" {

#define EXPORTED __attribute__((visibility("default")))

EXPORTED uint32_t anfl_version() { return 1; }

// Fills codes (count, dimension) and sketches (count,) of `values` (count, dimension).
EXPORTED void sketch(const float *values, uint64_t count, uint64_t dimension, int8_t *codes, Sketch *sketches) {
    for (size_t row = 0; row < count; row++, values += dimension, codes += dimension) {
        float most = 0;
        for (size_t i = 0; i < dimension; i++) most = std::max(most, std::fabs(values[i]));
        float scale = most / 127;
        double inverse = scale > 0 ? 1.0 / scale : 0.0;
        for (size_t i = 0; i < dimension; i++)
            codes[i] = int8_t(std::min(127.0, std::max(-127.0, std::nearbyint(values[i] * inverse))));
        float above = std::nextafter(float(residual(values, codes, scale, dimension)), HUGE_VALF);
        sketches[row] = {scale, above, float(length_of(values, dimension))};
    }
}

// A graph in mapped memory, which must stay mapped; null where it is damaged or belongs to other rows.
EXPORTED Graph *graph_open(const char *file, uint64_t size, const Block *block) {
    auto graph = std::make_unique<Graph>();
    return graph->open(file, size, block) ? graph.release() : nullptr;
}

EXPORTED void graph_close(Graph *graph) { delete graph; }

// About the nearest k rows to each of the `queries` by the graph, and all that are as far as the k-th: rows and
// distances (count, room), ascending. found[i]: how many; INT64_MIN where the search compared more than `budget` rows.
EXPORTED void graph_search(const Block *block, const float *queries, uint64_t count, uint64_t k, uint64_t room,
                           uint64_t ef, const uint64_t *allowed, uint64_t budget, uint32_t *rows, double *distances,
                           int64_t *found) {
    std::vector<uint32_t> candidates;
    for (size_t i = 0; i < count; i++) {
        Scan scan(block, queries + i * block->dimension, k);
        bool ended = block->graph->search(scan.sketched(), std::max(ef, room), allowed, budget, candidates);
        for (uint32_t row : candidates) scan.visit(row);
        int64_t kept = scan.finish(room, rows + i * room, distances + i * room);
        found[i] = ended ? kept : std::numeric_limits<int64_t>::min();
    }
}

// The nearest k of the `allowed` rows to each of the `queries`, and all that are as far as the k-th: rows and
// distances (count, room), ascending. found[i]: how many; where `room` is too small for them, negative.
EXPORTED void scan(const Block *block, const float *queries, uint64_t count, uint64_t k, uint64_t room,
                   const uint64_t *allowed, uint32_t *rows, double *distances, int64_t *found) {
    for (size_t first = 0; first < count; first += TOGETHER) {
        size_t last = std::min<size_t>(first + TOGETHER, count);
        std::vector<Scan> scans;
        scans.reserve(last - first);
        for (size_t i = first; i < last; i++) scans.emplace_back(block, queries + i * block->dimension, k);
        visit_all(block, allowed, scans);
        for (size_t i = first; i < last; i++)
            found[i] = scans[i - first].finish(room, rows + i * room, distances + i * room);
    }
}

// The row of each wanted id, −1 where there is none. Texts lie one after another, text i from offsets[i] to
// offsets[i + 1]; `order` lists the rows by id.
EXPORTED void find_ids(const char *ids, const uint64_t *offsets, const uint32_t *order, uint64_t count,
                       const char *wanted, const uint64_t *wanted_offsets, uint64_t wanted_count, int64_t *rows) {
    for (size_t i = 0; i < wanted_count; i++) {
        const char *text = wanted + wanted_offsets[i];
        size_t size = wanted_offsets[i + 1] - wanted_offsets[i];
        auto compare = [&](uint32_t row) {
            size_t own = offsets[row + 1] - offsets[row];
            int sign = std::memcmp(ids + offsets[row], text, std::min(own, size));
            return sign ? sign : own < size ? -1 : own > size;
        };
        const uint32_t *place =
            std::lower_bound(order, order + count, 0, [&](uint32_t row, int) { return compare(row) < 0; });
        rows[i] = place != order + count && compare(*place) == 0 ? int64_t(*place) : -1;
    }
}

}  // extern "C"

// Searching rows where they lie, in memory or in mapped files; called by native.py through ctypes, without the GIL.
//
// Graphs are hnswlib's own files (HierarchicalNSW::saveIndex) and its own search, through a read-only mapping, so that
// processes share their pages; nothing here builds one. Every distance that leaves this file is computed in float64
// from the caller's values: float32 only decides which rows are looked at.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "hnswlib.h"

namespace {

enum Metric : uint32_t { COSINE, L2, IP };

constexpr size_t LANES = 32;  // four AVX registers: sums that do not wait for one another
constexpr size_t CHUNK = 32;     // rows that all queries of a batch visit while the cache holds them
constexpr size_t TOGETHER = 16;  // queries of a batch: each may have to remember every row

template <typename Term>
inline float sum(size_t count, Term term) {
    float lanes[LANES] = {};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (size_t j = 0; j < LANES; j++) lanes[j] += term(i + j);
    for (size_t width = LANES / 2; width; width /= 2)
        for (size_t j = 0; j < width; j++) lanes[j] += lanes[j + width];
    for (; i < count; i++) lanes[0] += term(i);
    return lanes[0];
}

inline float dot(const float *a, const float *b, size_t count) {
    return sum(count, [=](size_t i) { return a[i] * b[i]; });
}

inline float squares(const float *a, const float *b, size_t count) {
    return sum(count, [=](size_t i) { return (a[i] - b[i]) * (a[i] - b[i]); });
}

// As hnswlib wants them.
float ip_distance(const void *a, const void *b, const void *count) {
    return 1.0f - dot((const float *)a, (const float *)b, *(const size_t *)count);
}

float l2_distance(const void *a, const void *b, const void *count) {
    return squares((const float *)a, (const float *)b, *(const size_t *)count);
}

// In float64, where what callers are told is computed.
template <typename Term>
inline double exact_sum(size_t count, Term term) {
    constexpr size_t lanes = 16;
    double sums[lanes] = {};
    size_t i = 0;
    for (; i + lanes <= count; i += lanes)
        for (size_t lane = 0; lane < lanes; lane++) sums[lane] += term(i + lane);
    for (size_t width = lanes / 2; width; width /= 2)
        for (size_t lane = 0; lane < width; lane++) sums[lane] += sums[lane + width];
    for (; i < count; i++) sums[0] += term(i);
    return sums[0];
}

bool holds(const uint64_t *bits, uint64_t row) { return bits[row / 64] >> (row % 64) & 1; }

struct Allowed : hnswlib::BaseFilterFunctor {
    const uint64_t *bits;
    explicit Allowed(const uint64_t *bits) : bits(bits) {}
    bool operator()(hnswlib::labeltype row) override { return holds(bits, row); }
};

// hnswlib's own rule to stop, and a limit to the rows compared: a filter can lead far from where the graph is dense.
struct Limit : hnswlib::BaseSearchStopCondition<float> {
    size_t ef, budget, compared = 0, kept = 0;
    Limit(size_t ef, size_t budget) : ef(ef), budget(budget) {}
    void add_point_to_result(hnswlib::labeltype, const void *, float) override { kept++; }
    void remove_point_from_result(hnswlib::labeltype, const void *, float) override { kept--; }
    bool should_stop_search(float candidate, float bound) override {
        return (candidate > bound && kept == ef) || exhausted();
    }
    bool should_consider_candidate(float distance, float bound) override {
        compared++;
        return kept < ef || bound > distance;
    }
    bool should_remove_extra() override { return kept > ef; }
    void filter_results(std::vector<std::pair<float, hnswlib::labeltype>> &) override {}
    bool exhausted() const { return compared > budget; }
};

class Graph : public hnswlib::HierarchicalNSW<float> {
  public:
    Graph(size_t dimension, uint32_t metric) : HierarchicalNSW(nullptr), dimension_(dimension) {
        fstdistfunc_ = metric == L2 ? l2_distance : ip_distance;
        dist_func_param_ = &dimension_;
    }

    ~Graph() { data_level0_memory_ = nullptr, cur_element_count = 0; }  // what clear() would free is the mapping's

    // Whether `file` is a graph of `count` such rows; field by field as saveIndex writes it.
    bool open(const char *file, size_t size, size_t count) {
        const char *at = file, *end = file + size;
        size_t elements = 0;
        auto read = [&](auto &field) {
            if (size_t(end - at) < sizeof field) return false;
            std::memcpy(&field, at, sizeof field);
            at += sizeof field;
            return true;
        };
        if (!(read(offsetLevel0_) && read(max_elements_) && read(elements) && read(size_data_per_element_) &&
              read(label_offset_) && read(offsetData_) && read(maxlevel_) && read(enterpoint_node_) && read(maxM_) &&
              read(maxM0_) && read(M_) && read(mult_) && read(ef_construction_)))
            return false;
        data_size_ = dimension_ * sizeof(float);
        size_links_per_element_ = maxM_ * sizeof(hnswlib::tableint) + sizeof(hnswlib::linklistsizeint);
        size_links_level0_ = maxM0_ * sizeof(hnswlib::tableint) + sizeof(hnswlib::linklistsizeint);
        if (elements != count || offsetLevel0_ || offsetData_ != size_links_level0_ ||
            label_offset_ != size_links_level0_ + data_size_ || enterpoint_node_ >= elements ||
            size_data_per_element_ != label_offset_ + sizeof(hnswlib::labeltype) ||
            size_t(end - at) / size_data_per_element_ < elements)
            return false;
        data_level0_memory_ = const_cast<char *>(at);
        at += elements * size_data_per_element_;
        linkLists_ = (char **)std::calloc(elements, sizeof(char *));
        for (size_t i = 0; i < elements; i++) {
            uint32_t bytes;
            if (!read(bytes) || bytes % size_links_per_element_ || size_t(end - at) < bytes) return false;
            if (i == enterpoint_node_ && bytes != maxlevel_ * size_links_per_element_) return false;
            linkLists_[i] = bytes ? const_cast<char *>(at) : nullptr;
            at += bytes;
        }
        max_elements_ = elements;
        cur_element_count = elements;
        visited_list_pool_.reset(new hnswlib::VisitedListPool(1, elements));
        return at == end;
    }

    // Rows near `query`, nearest first; `allowed` may be null. Returns whether the search ended by itself.
    bool search(const float *query, size_t ef, const uint64_t *allowed, size_t budget,
                std::vector<std::pair<float, uint32_t>> &found) const {
        hnswlib::tableint nearest = enterpoint_node_;
        float least = fstdistfunc_(query, getDataByInternalId(nearest), dist_func_param_);
        for (int level = maxlevel_; level > 0; level--) {
            for (bool changed = true; changed;) {
                changed = false;
                hnswlib::linklistsizeint *links = get_linklist(nearest, level);
                const hnswlib::tableint *candidates = links + 1;
                for (size_t i = 0, count = getListCount(links); i < count; i++) {
                    float distance = fstdistfunc_(query, getDataByInternalId(candidates[i]), dist_func_param_);
                    if (distance < least) least = distance, nearest = candidates[i], changed = true;
                }
            }
        }
        Limit limit(ef, budget);
        Allowed filter(allowed);
        auto top = allowed ? searchBaseLayerST<false>(nearest, query, ef, &filter, &limit)
                           : searchBaseLayerST<true>(nearest, query, ef);
        found.resize(top.size());
        for (size_t i = top.size(); i--; top.pop())
            found[i] = {top.top().first, uint32_t(getExternalLabel(top.top().second))};
        return !limit.exhausted();
    }

  private:
    size_t dimension_;
};

struct Sketch {
    float scale, residual, length;  // row ≈ scale · codes, off by `residual` in Euclidean length
};

}  // namespace

extern "C" {

struct Block {
    const float *values;    // (count, dimension)
    const int8_t *codes;    // (count, dimension)
    const Sketch *sketches;  // (count,)
    uint64_t count;
    uint32_t dimension;
    uint32_t metric;
    const void *graph;
};

}  // extern "C"

namespace {

double exact_distance(const Block *block, const float *query, double length, uint32_t row) {
    const float *values = block->values + size_t(row) * block->dimension;
    double dot = 0, squares = 0;
    switch (block->metric) {
        case COSINE:
            dot = exact_sum(block->dimension, [=](size_t i) { return double(query[i]) * values[i]; });
            squares = exact_sum(block->dimension, [=](size_t i) { return double(values[i]) * values[i]; });
            return std::max(0.0, 1.0 - dot / (length * std::sqrt(squares)));
        case L2:
            return std::sqrt(exact_sum(block->dimension, [=](size_t i) {
                double difference = double(query[i]) - values[i];
                return difference * difference;
            }));
        default: return -exact_sum(block->dimension, [=](size_t i) { return double(query[i]) * values[i]; });
    }
}

double length_of(const float *values, size_t dimension) {
    return std::sqrt(exact_sum(dimension, [=](size_t i) { return double(values[i]) * values[i]; }));
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

// A query against the sketches: bounds of each distance, from |q·x − q̃·x̃| ≤ |q||x − x̃| + |q − q̃||x̃|, decide which rows
// are compared exactly, nearest bound first (Seidl, Kriegel: Optimal multi-step k-nearest neighbor search).
class Scan {
  public:
    Scan(const Block *block, const float *query, size_t k) : block_(block), query_(query), k_(k) {
        size_t dimension = block->dimension;
        length_ = length_of(query, dimension);
        float most = 0;
        for (size_t i = 0; i < dimension; i++) most = std::max(most, std::fabs(query[i]));
        scale_ = most / double(QUERY_STEPS);
        codes_.resize(dimension);
        for (size_t i = 0; i < dimension; i++) codes_[i] = scale_ ? int16_t(std::lround(query[i] / scale_)) : 0;
        const int16_t *codes = codes_.data();
        double scale = scale_;
        residual_ = std::sqrt(exact_sum(dimension, [=](size_t i) {
            double difference = query[i] - scale * codes[i];
            return difference * difference;
        }));
    }

    void visit(uint32_t row) {
        const Sketch &sketch = block_->sketches[row];
        const int8_t *codes = block_->codes + size_t(row) * block_->dimension;
        const int16_t *own = codes_.data();
        int32_t product = 0;
        for (size_t i = 0, count = block_->dimension; i < count; i++) product += int32_t(own[i]) * int32_t(codes[i]);
        double scales = length_ * sketch.length;
        double key = -scale_ * sketch.scale * product;
        double error = length_ * sketch.residual + residual_ * (sketch.length + sketch.residual) + ROUNDING * scales;
        if (block_->metric == COSINE) {
            key /= scales, error /= scales;
        } else if (block_->metric == L2) {
            double squares = length_ * length_ + double(sketch.length) * sketch.length;
            key = squares + 2 * key, error = 2 * error + ROUNDING * squares;
        }
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
        for (auto [lowest, row] : candidates_) {
            if (nearest.size() == k_ && lowest > key_of(nearest.top())) break;
            double distance = exact_distance(block_, query_, length_, row);
            settled.emplace_back(distance, row);
            nearest.push(distance);
            if (nearest.size() > k_) nearest.pop();
        }
        return write(settled, k_, room, rows, distances);
    }

  private:
    static constexpr int QUERY_STEPS = 4096;  // times 127 times 4,096 dimensions still fits an int32
    static constexpr double ROUNDING = 1e-6;  // of the sketches' float32 numbers, generously

    double key_of(double distance) const {
        return block_->metric == COSINE ? distance - 1 : block_->metric == L2 ? distance * distance : distance;
    }

    const Block *block_;
    const float *query_;
    size_t k_;
    double length_, scale_, residual_;
    double bound_ = std::numeric_limits<double>::infinity();
    std::vector<int16_t> codes_;
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
            const char *ahead = (const char *)block->codes + size_t(chunk[filled - 1]) * block->dimension;
            for (size_t line = 0; line < block->dimension; line += 64) __builtin_prefetch(ahead + line);
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
        double squares = exact_sum(dimension, [=](size_t i) {
            double difference = values[i] - double(scale) * codes[i];
            return difference * difference;
        });
        float residual = std::nextafter(float(std::sqrt(squares)), std::numeric_limits<float>::infinity());
        sketches[row] = {scale, residual, float(length_of(values, dimension))};
    }
}

// A graph in mapped memory, which must stay mapped; null where it is damaged or belongs to other rows.
EXPORTED const void *graph_open(const char *file, uint64_t size, const Block *block) {
    Graph *graph = new Graph(block->dimension, block->metric);
    if (graph->open(file, size, block->count)) return graph;
    delete graph;
    return nullptr;
}

EXPORTED void graph_close(const void *graph) { delete (const Graph *)graph; }

// About the nearest k rows to each of the `queries` by the graph, and all that are as far as the k-th: rows and
// distances (count, room), ascending. found[i]: how many; INT64_MIN where the search compared more than `budget` rows.
EXPORTED void graph_search(const Block *block, const float *queries, uint64_t count, uint64_t k, uint64_t room,
                           uint64_t ef, const uint64_t *allowed, uint64_t budget, uint32_t *rows, double *distances,
                           int64_t *found) {
    const size_t dimension = block->dimension;
    std::vector<float> unit(dimension);
    std::vector<std::pair<float, uint32_t>> candidates;
    Settled settled;
    for (size_t i = 0; i < count; i++) {
        const float *query = queries + i * dimension, *sought = query;
        double length = length_of(query, dimension);
        if (block->metric == COSINE) {
            for (size_t j = 0; j < dimension; j++) unit[j] = float(query[j] / length);
            sought = unit.data();
        }
        bool ended =
            ((const Graph *)block->graph)->search(sought, std::max(ef, room), allowed, budget, candidates);
        settled.clear();
        for (size_t j = 0; j < std::min<size_t>(candidates.size(), room); j++)
            settled.emplace_back(exact_distance(block, query, length, candidates[j].second), candidates[j].second);
        int64_t kept = write(settled, k, room, rows + i * room, distances + i * room);
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

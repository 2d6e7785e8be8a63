"""Triton kernels of cross-entropy and MED over all items, which hold no scores.

Each program takes the K peers at a few targets and goes through the table tile by tile (or the other way round), makes
the scores [K, n, C] of a tile in registers, and keeps what it needs of them: statistics of the softmax by an online
log-sum-exp, or sums weighted by functions of the probabilities. Names are those of `couplings.med`: e are exponentials
relative to the second largest score, 0 at the largest, t; p probabilities; c beliefs of the others, 0 at the target y.

Peers fill the first axis of a tile up to a power of two, PEERS; the lines that only fill it are masked. With
TRITON_INTERPRET=1 all of this runs on a CPU.
"""

import triton
import triton.language as tl


@triton.jit
def _states(pointer, trial, rows, count, K: tl.constexpr, PEERS: tl.constexpr, DIM: tl.constexpr, WIDTH: tl.constexpr):
    """States [PEERS, n, WIDTH] of targets `rows`."""
    peer, column = tl.arange(0, PEERS), tl.arange(0, WIDTH)
    line = (trial * K + peer)[:, None] * count + rows[None, :]
    real = (peer < K)[:, None] & (rows < count)[None, :]
    return tl.load(
        pointer + line[:, :, None].to(tl.int64) * DIM + column[None, None, :],
        mask=real[:, :, None] & (column < DIM)[None, None, :],
        other=0.0,
    )


@triton.jit
def _items(
    pointer, trial, items, V, SHARED: tl.constexpr, K: tl.constexpr, PEERS: tl.constexpr, DIM: tl.constexpr,
    WIDTH: tl.constexpr,
):  # fmt: skip
    """Rows of items 0..V-1, lines 1..V of the table: [C, WIDTH] where peers share it, otherwise [PEERS, C, WIDTH]."""
    column = tl.arange(0, WIDTH)
    if SHARED:
        line = trial * (V + 1) + items + 1
        mask = (items < V)[:, None] & (column < DIM)[None, :]
        return tl.load(pointer + line[:, None].to(tl.int64) * DIM + column[None, :], mask=mask, other=0.0)
    else:
        peer = tl.arange(0, PEERS)
        line = (trial * K + peer)[:, None] * (V + 1) + items[None, :] + 1
        mask = ((peer < K)[:, None] & (items < V)[None, :])[:, :, None] & (column < DIM)[None, None, :]
        return tl.load(pointer + line[:, :, None].to(tl.int64) * DIM + column[None, None, :], mask=mask, other=0.0)


@triton.jit
def _vector(pointer, trial, rows, count, K: tl.constexpr, PEERS: tl.constexpr):
    """Numbers [PEERS, n] of targets `rows`, 0 where there is none."""
    peer = tl.arange(0, PEERS)
    line = (trial * K + peer)[:, None] * count + rows[None, :]
    return tl.load(pointer + line, mask=(peer < K)[:, None] & (rows < count)[None, :], other=0)


@triton.jit
def _keep(pointer, value, trial, rows, count, K: tl.constexpr, PEERS: tl.constexpr):
    """The reverse of `_vector`."""
    peer = tl.arange(0, PEERS)
    line = (trial * K + peer)[:, None] * count + rows[None, :]
    tl.store(pointer + line, value, mask=(peer < K)[:, None] & (rows < count)[None, :])


@triton.jit
def _keep_states(
    pointer, value, trial, rows, count, K: tl.constexpr, PEERS: tl.constexpr, DIM: tl.constexpr, WIDTH: tl.constexpr
):
    """The reverse of `_states`."""
    peer, column = tl.arange(0, PEERS), tl.arange(0, WIDTH)
    line = (trial * K + peer)[:, None] * count + rows[None, :]
    real = (peer < K)[:, None] & (rows < count)[None, :]
    tl.store(
        pointer + line[:, :, None].to(tl.int64) * DIM + column[None, None, :],
        value,
        mask=real[:, :, None] & (column < DIM)[None, None, :],
    )


@triton.jit
def _product(left, right, SHARED: tl.constexpr, PRECISION: tl.constexpr):
    """[PEERS, n, I] @ [I, O] or [PEERS, I, O] -> [PEERS, n, O]."""
    if SHARED:
        flat = tl.reshape(left, (left.shape[0] * left.shape[1], left.shape[2]))
        found = tl.dot(flat, right, input_precision=PRECISION)
        return tl.reshape(found, (left.shape[0], left.shape[1], right.shape[1]))
    else:
        return tl.dot(left, right, input_precision=PRECISION)


@triton.jit
def _scores(states, table, items, V, SHARED: tl.constexpr, PRECISION: tl.constexpr):
    """[PEERS, n, C]; minus infinity where there is no item."""
    turned = tl.trans(table) if SHARED else tl.permute(table, (0, 2, 1))
    return tl.where((items < V)[None, None, :], _product(states, turned, SHARED, PRECISION), float("-inf"))


@triton.jit
def _power(p, GAMMA: tl.constexpr):
    if GAMMA == 1.0:
        return p
    else:
        return tl.exp2(GAMMA * tl.log2(p))  # 0 stays 0


@triton.jit
def _others(x, K: tl.constexpr, PEERS: tl.constexpr):
    """Mean over the other peers, [PEERS, n, C]; of two, exactly the other one."""
    if K == 2:
        first = (tl.arange(0, PEERS) == 0)[:, None, None]
        one, two = tl.sum(tl.where(first, x, 0.0), 0), tl.sum(tl.where(first, 0.0, x), 0)
        return tl.where(first, two[None, :, :], one[None, :, :])
    else:
        return (tl.sum(x, 0)[None, :, :] - x) / (K - 1)


@triton.jit
def _log_one_minus(p):
    """log(1 - p) for p <= 1/2, with full relative precision."""
    rest = 1.0 - p
    exact = tl.where(rest == 1.0, 1.0, rest - 1.0)  # what was really subtracted
    return tl.where(rest == 1.0, -p, tl.log(rest) * (-p / exact))


@triton.jit
def _believed(e, scale, p_top, is_top, is_right, K: tl.constexpr, PEERS: tl.constexpr, GAMMA: tl.constexpr):
    """Beliefs c and probabilities p, [PEERS, n, C], p without the largest."""
    real = (tl.arange(0, PEERS) < K)[:, None, None]
    p = e * scale[:, :, None]
    q = tl.where(real, _power(tl.where(is_top, p_top[:, :, None], p), GAMMA), 0.0)
    c = tl.where(real & (is_right == 0), _others(q, K, PEERS), 0.0)
    return c, p


@triton.jit
def statistics(
    states_pointer, table_pointer, target_pointer, largest_pointer, top_pointer, second_pointer, rest_pointer,
    right_pointer, count, V, K: tl.constexpr, PEERS: tl.constexpr, DIM: tl.constexpr, WIDTH: tl.constexpr,
    SHARED: tl.constexpr, PRECISION: tl.constexpr, N: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Of every peer's scores at every target: the largest and where it is, the second largest, the sum of exponentials
    relative to that of all but the largest, and the right item's score."""
    trial, rows = tl.program_id(1), tl.program_id(0) * N + tl.arange(0, N)
    h = _states(states_pointer, trial, rows, count, K, PEERS, DIM, WIDTH)
    y = tl.load(target_pointer + trial * count + rows, mask=rows < count, other=1) - 1
    largest = tl.full((PEERS, N), float("-inf"), tl.float32)
    second = tl.full((PEERS, N), float("-inf"), tl.float32)
    top = tl.zeros((PEERS, N), tl.int32)
    rest = tl.zeros((PEERS, N), tl.float32)
    right = tl.zeros((PEERS, N), tl.float32)
    for start in range(0, V, C):
        items = start + tl.arange(0, C)
        z = _scores(
            h, _items(table_pointer, trial, items, V, SHARED, K, PEERS, DIM, WIDTH), items, V, SHARED, PRECISION
        )
        right += tl.sum(tl.where(items[None, None, :] == y[None, :, None], z, 0.0), 2)
        first, where = tl.max(z, 2), tl.argmax(z, 2).to(tl.int32)
        others = tl.where((items - start)[None, None, :] == where[:, :, None], float("-inf"), z)
        best = tl.max(others, 2)
        loser = tl.minimum(largest, first)
        after = tl.maximum(tl.maximum(loser, second), best)
        safe = tl.where(after == float("-inf"), 0.0, after)
        rest = rest * tl.exp(second - safe) + tl.exp(loser - safe) + tl.sum(tl.exp(others - safe[:, :, None]), 2)
        top = tl.where(first > largest, start + where, top)
        largest, second = tl.maximum(largest, first), after
    _keep(largest_pointer, largest, trial, rows, count, K, PEERS)
    _keep(top_pointer, top, trial, rows, count, K, PEERS)
    _keep(second_pointer, second, trial, rows, count, K, PEERS)
    _keep(rest_pointer, rest, trial, rows, count, K, PEERS)
    _keep(right_pointer, right, trial, rows, count, K, PEERS)


@triton.jit
def sums(
    states_pointer, table_pointer, target_pointer, top_pointer, second_pointer, scale_pointer, p_top_pointer,
    by_e_pointer, by_ch_pointer, spread_pointer, negative_pointer, c_top_pointer, count, V, K: tl.constexpr,
    PEERS: tl.constexpr, DIM: tl.constexpr, WIDTH: tl.constexpr, SHARED: tl.constexpr, PRECISION: tl.constexpr,
    MED: tl.constexpr, GAMMA: tl.constexpr, N: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Rows of the table summed with weights e, and for MED with weights c p / (1 - p); the sums of those weights, and
    of c log(1 - p), without the largest; and c at the largest."""
    trial, rows = tl.program_id(1), tl.program_id(0) * N + tl.arange(0, N)
    h = _states(states_pointer, trial, rows, count, K, PEERS, DIM, WIDTH)
    y = tl.load(target_pointer + trial * count + rows, mask=rows < count, other=1) - 1
    top = _vector(top_pointer, trial, rows, count, K, PEERS)
    second = _vector(second_pointer, trial, rows, count, K, PEERS)
    scale = _vector(scale_pointer, trial, rows, count, K, PEERS)
    p_top = _vector(p_top_pointer, trial, rows, count, K, PEERS)
    by_e = tl.zeros((PEERS, N, WIDTH), tl.float32)
    by_ch = tl.zeros((PEERS, N, WIDTH), tl.float32)
    spread = tl.zeros((PEERS, N), tl.float32)
    negative = tl.zeros((PEERS, N), tl.float32)
    c_top = tl.zeros((PEERS, N), tl.float32)
    for start in range(0, V, C):
        items = start + tl.arange(0, C)
        table = _items(table_pointer, trial, items, V, SHARED, K, PEERS, DIM, WIDTH)
        z = _scores(h, table, items, V, SHARED, PRECISION)
        is_top = items[None, None, :] == top[:, :, None]
        e = tl.where(is_top, 0.0, tl.exp(z - second[:, :, None]))
        by_e += _product(e, table, SHARED, PRECISION)
        if MED:
            is_right = items[None, None, :] == y[None, :, None]
            c, p = _believed(e, scale, p_top, is_top, is_right, K, PEERS, GAMMA)
            c_top += tl.sum(tl.where(is_top, c, 0.0), 2)
            c = tl.where(is_top, 0.0, c)
            negative += tl.sum(c * _log_one_minus(p), 2)
            ch = c * p / (1.0 - p)
            spread += tl.sum(ch, 2)
            by_ch += _product(ch, table, SHARED, PRECISION)
    _keep_states(by_e_pointer, by_e, trial, rows, count, K, PEERS, DIM, WIDTH)
    if MED:
        _keep_states(by_ch_pointer, by_ch, trial, rows, count, K, PEERS, DIM, WIDTH)
        _keep(spread_pointer, spread, trial, rows, count, K, PEERS)
        _keep(negative_pointer, negative, trial, rows, count, K, PEERS)
        _keep(c_top_pointer, c_top, trial, rows, count, K, PEERS)


@triton.jit
def table_gradient(
    states_pointer, table_pointer, target_pointer, top_pointer, second_pointer, scale_pointer, p_top_pointer,
    of_e_pointer, of_ch_pointer, of_top_pointer, of_right_pointer, out_pointer, count, V, K: tl.constexpr,
    PEERS: tl.constexpr, DIM: tl.constexpr, WIDTH: tl.constexpr, SHARED: tl.constexpr, PRECISION: tl.constexpr,
    MED: tl.constexpr, GAMMA: tl.constexpr, N: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """The gradient in the table: the sum of states times the gradients in their scores, of_e e + of_ch c p / (1 - p),
    and of_top and of_right at the largest and the right item. Every line is written by one program, in one order."""
    trial, items = tl.program_id(1), tl.program_id(0) * C + tl.arange(0, C)
    table = _items(table_pointer, trial, items, V, SHARED, K, PEERS, DIM, WIDTH)
    found = tl.zeros((C, WIDTH) if SHARED else (PEERS, C, WIDTH), tl.float32)
    for start in range(0, count, N):
        rows = start + tl.arange(0, N)
        h = _states(states_pointer, trial, rows, count, K, PEERS, DIM, WIDTH)
        y = tl.load(target_pointer + trial * count + rows, mask=rows < count, other=0) - 1
        top = _vector(top_pointer, trial, rows, count, K, PEERS)
        second = _vector(second_pointer, trial, rows, count, K, PEERS)
        z = _scores(h, table, items, V, SHARED, PRECISION)
        is_top = items[None, None, :] == top[:, :, None]
        is_right = items[None, None, :] == y[None, :, None]
        e = tl.where(is_top, 0.0, tl.exp(z - second[:, :, None]))
        gradient = e * _vector(of_e_pointer, trial, rows, count, K, PEERS)[:, :, None]
        if MED:
            scale = _vector(scale_pointer, trial, rows, count, K, PEERS)
            p_top = _vector(p_top_pointer, trial, rows, count, K, PEERS)
            c, p = _believed(e, scale, p_top, is_top, is_right, K, PEERS, GAMMA)
            ch = tl.where(is_top, 0.0, c) * p / (1.0 - p)
            gradient += ch * _vector(of_ch_pointer, trial, rows, count, K, PEERS)[:, :, None]
        gradient += tl.where(is_top, _vector(of_top_pointer, trial, rows, count, K, PEERS)[:, :, None], 0.0)
        gradient += tl.where(is_right, _vector(of_right_pointer, trial, rows, count, K, PEERS)[:, :, None], 0.0)
        gradient = tl.where((rows < count)[None, :, None], gradient, 0.0)
        if SHARED:
            flat = tl.reshape(gradient, (PEERS * N, C))
            found += tl.dot(tl.trans(flat), tl.reshape(h, (PEERS * N, WIDTH)), input_precision=PRECISION)
        else:
            found += tl.dot(tl.permute(gradient, (0, 2, 1)), h, input_precision=PRECISION)
    column = tl.arange(0, WIDTH)
    if SHARED:
        line = (trial * (V + 1) + items + 1).to(tl.int64)
        mask = (items < V)[:, None] & (column < DIM)[None, :]
        tl.store(out_pointer + line[:, None] * DIM + column[None, :], found, mask=mask)
    else:
        peer = tl.arange(0, PEERS)
        line = ((trial * K + peer)[:, None] * (V + 1) + items[None, :] + 1).to(tl.int64)
        mask = ((peer < K)[:, None] & (items < V)[None, :])[:, :, None] & (column < DIM)[None, None, :]
        tl.store(out_pointer + line[:, :, None] * DIM + column[None, None, :], found, mask=mask)

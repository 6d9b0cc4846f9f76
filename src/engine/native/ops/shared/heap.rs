//! Binary heaps in slices, laid out as GCC's C++ library lays them out: which of equal elements
//! comes first follows from the layout, and LiteRT's results with it.
//! Source: the algorithms of libstdc++'s `push_heap`, `pop_heap` and `partial_sort`.

/// Moves the last element up until no parent is less.
pub(in super::super) fn push<T: Copy>(heap: &mut [T], less: impl Fn(T, T) -> bool) {
    if let Some(last) = heap.len().checked_sub(1) {
        let value = heap[last];
        rise(heap, last, 0, value, less);
    }
}

/// Moves the greatest element to the end; those before it stay a heap.
pub(in super::super) fn pop<T: Copy>(heap: &mut [T], less: impl Fn(T, T) -> bool) {
    if let [greatest, .., last] = heap {
        let value = *last;
        *last = *greatest;
        let rest = heap.len() - 1;
        sink(&mut heap[..rest], 0, value, less);
    }
}

/// Puts the `count` first by `before` in order at the front.
pub(in super::super) fn partial_sort<T: Copy>(
    values: &mut [T],
    count: usize,
    before: impl Fn(T, T) -> bool,
) {
    let (front, rest) = values.split_at_mut(count.min(values.len()));
    if front.is_empty() {
        return;
    }
    for parent in (0..front.len() / 2).rev() {
        let value = front[parent];
        sink(front, parent, value, &before);
    }
    for value in rest {
        if before(*value, front[0]) {
            let next = std::mem::replace(value, front[0]);
            sink(front, 0, next, &before);
        }
    }
    for len in (2..=front.len()).rev() {
        pop(&mut front[..len], &before);
    }
}

/// Puts `value` at `hole` or, past lesser parents, above it, but not above `top`.
fn rise<T: Copy>(
    heap: &mut [T],
    mut hole: usize,
    top: usize,
    value: T,
    less: impl Fn(T, T) -> bool,
) {
    while hole > top {
        let parent = (hole - 1) / 2;
        if !less(heap[parent], value) {
            break;
        }
        heap[hole] = heap[parent];
        hole = parent;
    }
    heap[hole] = value;
}

/// Lets the hole at `top` sink along the greater children to the bottom, and `value` rise from there.
fn sink<T: Copy>(heap: &mut [T], top: usize, value: T, less: impl Fn(T, T) -> bool) {
    let mut hole = top;
    loop {
        let (left, right) = (2 * hole + 1, 2 * hole + 2);
        if left >= heap.len() {
            break;
        }
        let child = if right < heap.len() && !less(heap[right], heap[left]) { right } else { left };
        heap[hole] = heap[child];
        hole = child;
    }
    rise(heap, hole, top, value, less);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_elements_leave_in_the_order_of_the_layout() {
        let less = |a: (i32, i32), b: (i32, i32)| a.1 < b.1;
        let mut heap: Vec<(i32, i32)> = Vec::new();
        for i in 0..7 {
            heap.push((i, 5));
            push(&mut heap, less);
        }
        let mut order = Vec::new();
        while !heap.is_empty() {
            pop(&mut heap, less);
            order.extend(heap.pop().map(|(i, _)| i));
        }
        assert_eq!(order, [0, 2, 5, 6, 4, 1, 3]);
    }

    #[test]
    fn the_first_are_sorted() {
        let mut values = [5, 1, 9, 7, 3, 8, 2];
        partial_sort(&mut values, 3, |a, b| a > b);
        assert_eq!(values[..3], [9, 8, 7]);
        partial_sort(&mut values, 9, |a, b| a > b);
        assert_eq!(values, [9, 8, 7, 5, 3, 2, 1]);
    }
}

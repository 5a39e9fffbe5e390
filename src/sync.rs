//! Locks, condition variables and channels without the poisoning of the standard library.
//!
//! A panic in a caller's callback must not make later calls panic as well. Every lock in this crate guards plain data
//! that is valid after each statement, so a poisoned lock is simply taken.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Locks `mutex`, also after a panic of another thread that held it.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `condition` is notified.
pub(crate) fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `condition` is notified, or for `limit`.
pub(crate) fn wait_timeout<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>, limit: Duration) -> MutexGuard<'a, T> {
    condition.wait_timeout(guard, limit).unwrap_or_else(PoisonError::into_inner).0
}

/// A channel that holds at most `capacity` values: [`Sender::send`] blocks while it is full.
///
/// It exists beside `std::sync::mpsc` because that module's lock-free queues are compiled again for each type of value
/// and made up a twentieth of the crate's code, for channels that carry a few values a second.
pub(crate) fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let state = State { values: VecDeque::new(), capacity, senders: 1, has_receiver: true };
    let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

/// The end of a channel that values go into. Each clone counts as one sender.
pub(crate) struct Sender<T>(Arc<Shared<T>>);

/// The end of a channel that values come out of.
pub(crate) struct Receiver<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Notified when a value is added or removed, and when one end is dropped.
    changed: Condvar,
}

struct State<T> {
    values: VecDeque<T>,
    capacity: usize,
    senders: usize,
    has_receiver: bool,
}

/// The reason why [`Receiver::recv_timeout`] returned no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecvError {
    /// No value arrived in time.
    Timeout,
    /// The channel is empty and all senders are gone.
    Closed,
}

impl<T> Sender<T> {
    /// Puts `value` into the channel, or gives it back if the receiver is gone.
    pub(crate) fn send(&self, value: T) -> Result<(), T> {
        let mut state = lock(&self.0.state);
        while state.has_receiver && state.values.len() >= state.capacity {
            state = wait(&self.0.changed, state);
        }
        if !state.has_receiver {
            return Err(value);
        }
        state.values.push_back(value);
        drop(state);
        self.0.changed.notify_all();
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        lock(&self.0.state).senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        lock(&self.0.state).senders -= 1;
        self.0.changed.notify_all();
    }
}

impl<T> Receiver<T> {
    /// Takes the next value, or returns `None` once the channel is empty and all senders are gone.
    pub(crate) fn recv(&self) -> Option<T> {
        let mut state = lock(&self.0.state);
        loop {
            match self.take(&mut state) {
                Ok(value) => return Some(value),
                Err(RecvError::Closed) => return None,
                Err(RecvError::Timeout) => state = wait(&self.0.changed, state),
            }
        }
    }

    /// Takes the next value, and waits for it at most for `limit`.
    pub(crate) fn recv_timeout(&self, limit: Duration) -> Result<T, RecvError> {
        let start = Instant::now();
        let mut state = lock(&self.0.state);
        loop {
            match self.take(&mut state) {
                Err(RecvError::Timeout) => {}
                result => return result,
            }
            let remaining = limit.saturating_sub(start.elapsed());
            if remaining.is_zero() {
                return Err(RecvError::Timeout);
            }
            state = wait_timeout(&self.0.changed, state, remaining);
        }
    }

    fn take(&self, state: &mut State<T>) -> Result<T, RecvError> {
        match state.values.pop_front() {
            Some(value) => {
                self.0.changed.notify_all();
                Ok(value)
            }
            None if state.senders == 0 => Err(RecvError::Closed),
            None => Err(RecvError::Timeout),
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.has_receiver = false;
        // The values are dropped outside the lock: they may own a sender of this very channel.
        let values = std::mem::take(&mut state.values);
        drop(state);
        self.0.changed.notify_all();
        drop(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_arrive_in_order_and_the_end_is_seen() {
        let (sender, receiver) = channel(usize::MAX);
        let second = sender.clone();
        sender.send(1).unwrap();
        second.send(2).unwrap();
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Ok(1));
        drop(sender);
        assert_eq!(receiver.recv(), Some(2));
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvError::Timeout), "another sender still exists");
        drop(second);
        assert_eq!(receiver.recv(), None);
        assert_eq!(receiver.recv_timeout(Duration::MAX), Err(RecvError::Closed));
    }

    #[test]
    fn a_full_channel_blocks_its_sender_until_a_value_is_taken() {
        let (sender, receiver) = channel(1);
        let thread = std::thread::spawn(move || (0..100).map(|n| sender.send(n)).filter(Result::is_ok).count());
        let received: Vec<i32> = std::iter::from_fn(|| {
            assert!(lock(&receiver.0.state).values.len() <= 1);
            receiver.recv()
        })
        .collect();
        assert_eq!(received, (0..100).collect::<Vec<_>>());
        assert_eq!(thread.join().unwrap(), 100);
    }

    #[test]
    fn a_blocked_sender_notices_that_the_receiver_is_gone() {
        let (sender, receiver) = channel(1);
        sender.send(1).unwrap();
        let thread = std::thread::spawn(move || sender.send(2));
        drop(receiver);
        assert_eq!(thread.join().unwrap(), Err(2));
    }

    #[test]
    fn a_value_that_owns_a_sender_of_its_channel_can_be_dropped_with_it() {
        let (sender, receiver) = channel::<Box<dyn std::any::Any + Send>>(usize::MAX);
        sender.send(Box::new(sender.clone())).unwrap();
        drop(receiver);
        assert!(sender.send(Box::new(())).is_err());
    }

    #[test]
    fn a_lock_is_taken_after_a_panic() {
        let mutex = Mutex::new(1);
        let panicked = std::thread::scope(|scope| {
            let held = scope.spawn(|| {
                let _guard = lock(&mutex);
                std::panic::resume_unwind(Box::new(()));
            });
            held.join().is_err()
        });
        assert!(panicked && mutex.is_poisoned());
        assert_eq!(*lock(&mutex), 1);
    }
}

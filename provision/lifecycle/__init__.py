"""A lab's life: made by `up`, removed by `destroy`."""

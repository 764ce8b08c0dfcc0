"""Operations on one node, through a Runner."""
